"""The names that programs of the second tier may use, by module: an allow-list, resolved once per server."""

import importlib
import sys
from types import SimpleNamespace
from typing import Any

from siked_ray.verification.sandbox import frozen

_SYMPY = """
    Abs Add And Basic ComplexInfinity E Eq Equality Expr FiniteSet Float Function Ge GreaterThan Gt I Integer Integral
    Interval Intersection Lambda Le LessThan Limit Lt Matrix Max Min Mod Mul N Naturals Naturals0 Ne Not Number Or
    Piecewise Poly Pow Product Q Range Rational Rationals RealNumber Reals Relational S Set StrictGreaterThan
    StrictLessThan Sum Symbol Tuple Unequality Union Unknown Wild Dummy Derivative Integers EmptySet Complement
    ImageSet Contains acos acosh apart arg asin asinh atan atan2 atanh binomial cancel cbrt ceiling collect comp
    conjugate cos cosh cot csc degree denom det diff divisors divisor_count expand expand_log expand_trig exp eye
    factor factorial factorint fibonacci floor frac fraction gcd gcd_list igcd ilcm im integer_nthroot integrate
    isprime is_monotonic lcm lcm_list limit linear_eq_to_matrix linsolve ln log logcombine lucas minimum maximum
    mod_inverse multinomial_coefficients nan nextprime nonlinsolve npartitions nroots nsimplify nsolve numer oo ones
    perfect_power pi poly powdenest powsimp powsolve prevprime prime primefactors primepi primerange product primitive
    radsimp ratsimp re real_root reduce_inequalities rem quo div residue root roots rsolve sec sech series sieve sign
    simplify sin sinc sinh solve solve_linear solve_linear_system solve_poly_system solve_univariate_inequality
    solveset sqrt sqrtdenest subfactorial summation symbols tan tanh together totient trigsimp true false var zeros
    zoo diag Heaviside gamma beta erf harmonic bernoulli catalan euler latex pprint pretty GoldenRatio EulerGamma
    real_roots sqf_list factor_list count_roots intervals ground_roots discriminant resultant reduced groebner Point
    Line Circle Triangle Polygon Segment Ray Plane AccumBounds Array CC CRootOf Catalan Chi Ci Complexes ConditionSet
    Curve Determinant Dict DiracDelta E1 Ei Ellipse Equivalent FF FallingFactorial GF HadamardProduct ITE Id Idx
    ImmutableMatrix Implies Indexed IndexedBase Inverse KroneckerDelta LC LM LT LambertW Line2D Line3D MatrixSymbol
    Monomial Nand Nor O OneMatrix Order Parabola Permanent ProductSet PurePoly QQ Quaternion RR RegularPolygon Rel
    RisingFactorial RootOf Segment2D Segment3D Shi Si SparseMatrix Subs SymmetricDifference Trace Transpose
    TribonacciConstant UnevaluatedExpr UniversalSet Xor ZZ ZeroMatrix abundance acot acoth acsc acsch adjoint
    all_roots asec asech bell binomial_coefficients binomial_coefficients_list carmichael cartes centroid chebyshevt
    chebyshevu checkodesol checksol closest_points cofactors collect_const combsimp compose content continued_fraction
    continued_fraction_convergents continued_fraction_iterator continued_fraction_periodic continued_fraction_reduce
    convex_hull convolution coth count_ops csch cse cyclotomic_poly decompose default_sort_key degree_list digamma
    diophantine discrete_log dsolve egyptian_fraction elliptic_e elliptic_f elliptic_k erfc erfinv expand_complex
    expand_func expand_mul expand_multinomial expand_power_base expand_power_exp exptrigsimp exquo factor_terms
    factorrat farthest_points ff flatten fourier_series fps gammasimp gcd_terms gcdex genocchi half_gcdex hermite
    hessian horner hyper hyperexpand idiff imageset integer_log interpolating_poly intersection
    inverse_laplace_transform invert is_abundant is_amicable is_convex is_decreasing is_deficient is_increasing
    is_mersenne_prime is_perfect is_primitive_root is_quad_residue is_strictly_decreasing is_strictly_increasing
    isolate itermonomials jacobi_symbol laguerre laplace_transform legendre legendre_symbol li loggamma lowergamma
    minimal_polynomial minpoly mobius monic multiplicity n_order nfloat nthroot_mod num_digits numbered_symbols
    ordered partition periodicity piecewise_fold polygamma polylog posify pquo prem preorder_traversal primenu
    primeomega primorial proper_divisor_count proper_divisors quadratic_residues reduce_abs_inequality refine rf
    rootof satisfiable separatevars sequence signsimp simplify_logic singularities solve_linear_system_LU
    solve_poly_inequality solve_rational_inequalities solve_triangulated solve_undetermined_coeffs sqf sqf_part
    sqrt_mod stationary_points subresultants subsets symmetric_poly symmetrize terms_gcd total_degree trace trailing
    transpose tribonacci trigamma trunc uppergamma variations viete wronskian zeta Point2D Point3D crt nC nP deg rad
    factorial2 divisor_sigma primitive_root interpolate Permutation multiset_permutations
"""
#: sympy's names that its root does not have.
_SYMPY_BELOW = {
    "sympy.ntheory.modular": "crt solve_congruence",
    "sympy.ntheory.factor_": "core digits",
    "sympy.functions.combinatorial.numbers": "nC nP nT stirling",
    "sympy.calculus.util": "continuous_domain function_range",
    "sympy.simplify.radsimp": "rad_rationalize",
    "sympy.combinatorics": "Permutation",
    "sympy.utilities.iterables": "multiset_combinations multiset_partitions multiset_permutations partitions",
}
_MODULES = {
    "sympy": _SYMPY,
    "math": """
    acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf erfc exp exp2 expm1
    fabs factorial floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp lgamma log
    log10 log1p log2 modf nan perm pi pow prod radians sin sinh sqrt tan tanh tau trunc
""",
    "cmath": "cos exp log phase pi polar rect sin sqrt tan",
    "fractions": "Fraction",
    "decimal": """
        Decimal getcontext ROUND_HALF_UP ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_DOWN ROUND_UP ROUND_CEILING ROUND_FLOOR
        InvalidOperation DivisionByZero
    """,
    "statistics": """
        mean fmean median median_low median_high mode multimode pstdev pvariance stdev variance geometric_mean
        harmonic_mean quantiles correlation covariance
    """,
    "itertools": """
    accumulate batched chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse
    groupby islice permutations product repeat starmap takewhile tee zip_longest pairwise
""",
    "functools": "reduce lru_cache cache partial cmp_to_key",
    "collections": "Counter defaultdict deque OrderedDict namedtuple",
    "datetime": "date time datetime timedelta timezone",
    "typing": "List Dict Tuple Set Optional Union Any Callable Iterable Sequence Iterator Generator DefaultDict",
    "re": "compile escape findall finditer search match fullmatch sub split IGNORECASE MULTILINE",
    "numpy": """
    abs absolute add all allclose amax amin angle any append arange arccos arccosh arcsin arcsinh arctan arctan2
    arctanh argmax argmin argsort argwhere around array array_equal asarray atleast_1d atleast_2d average bincount
    bool_ cbrt ceil clip column_stack concatenate conj convolve copy corrcoef cos cosh count_nonzero cov cross cumprod
    cumsum deg2rad degrees diag diagonal diff digitize divide divmod dot e ediff1d einsum empty exp exp2 expand_dims
    expm1 eye fabs fix flatnonzero flip fliplr flipud float32 float64 float_power floor floor_divide fmax fmin fmod
    full full_like gcd geomspace gradient histogram hstack hypot identity imag inf inner int32 int64 int_ interp
    intersect1d isclose isfinite isin isinf isnan isreal kron lcm linspace log log10 log1p log2 logical_and
    logical_not logical_or logical_xor logspace matmul matrix max maximum mean median meshgrid min minimum mod
    multiply nan nanmax nanmean nanmin nansum ndim negative newaxis nonzero ones ones_like outer percentile pi
    piecewise poly poly1d polyadd polyder polydiv polyfit polyint polymul polysub polyval positive power prod ptp
    quantile rad2deg radians ravel real reciprocal remainder repeat reshape rint roll roots rot90 round searchsorted
    select setdiff1d shape sign sin sinc sinh size sort split sqrt square squeeze stack std subtract sum swapaxes take
    tan tanh tensordot tile trace transpose trapezoid trapz tril triu true_divide trunc union1d unique vander var vdot
    vectorize vstack where zeros zeros_like
""",
    "numpy.linalg": """
    cholesky cond det eig eigh eigvals eigvalsh inv lstsq matrix_power matrix_rank norm pinv qr solve svd
""",
    "random": "random randint choice seed shuffle sample uniform",
    "calendar": "monthrange isleap leapdays weekday day_name day_abbr month_name month_abbr",
    "operator": "add sub mul truediv floordiv mod neg pow eq ne lt le gt ge and_ or_ xor itemgetter",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits punctuation",
    "heapq": "heapify heappush heappop heappushpop heapreplace nlargest nsmallest merge",
    "copy": "copy deepcopy",
    "sys": "maxsize setrecursionlimit",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
}  # fmt: skip
_BUILTINS = """
    abs all any bin bool callable chr complex dict divmod enumerate filter float format frozenset hex int isinstance
    iter len list map max min next oct ord pow range repr reversed round set slice sorted str sum tuple zip True False
    None Exception ArithmeticError AssertionError AttributeError IndexError KeyError LookupError NameError
    NotImplementedError OverflowError RecursionError RuntimeError StopIteration TypeError ValueError ZeroDivisionError
    ImportError ModuleNotFoundError
"""

_HEAVY = ("sympy", "numpy", "numpy.linalg")

#: Resolved by name alone, from anywhere below the module: `from sympy.solvers import solve`.
_FLAT = ("sympy",)


def resolve(*, algebra: bool) -> dict[str, SimpleNamespace]:
    """For each granted module a namespace with exactly the granted names; sympy and numpy only with `algebra`."""
    modules = {
        module: SimpleNamespace(**_public(module, names))
        for module, names in _MODULES.items()
        if algebra or module not in _HEAVY
    }
    if algebra:
        for module, names in _SYMPY_BELOW.items():
            vars(modules["sympy"]).update(_public(module, names))
        modules["numpy"].linalg = modules["numpy.linalg"]
    vars(modules["datetime"]).update(date=frozen.date, datetime=frozen.datetime)
    return modules


def builtins() -> dict[str, Any]:
    """The granted builtins, without `print` and `__import__`, which a run makes for itself."""
    import builtins as real

    return {name: getattr(real, name) for name in _BUILTINS.split()}


def _public(module_name: str, names: str) -> dict[str, Any]:
    module = importlib.import_module(module_name)
    return {name: getattr(module, name) for name in names.split() if hasattr(module, name)}


def make_import(modules: dict[str, SimpleNamespace]) -> Any:
    """An `__import__` that hands out namespaces of granted names and nothing else."""

    def grant(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if type(fromlist) is list and (name.startswith("numpy.") or name == "_strptime") and name in sys.modules:
            return sys.modules[name]  # so do numpy and datetime in C; an import statement gives a tuple or None
        root = name.split(".")[0] if name.split(".")[0] in _FLAT else name
        if level or root not in modules:
            raise ModuleNotFoundError(f"no module named {name!r} is granted")
        if name == "sympy.abc":
            return _letters(modules["sympy"].Symbol, fromlist)
        namespace = modules[root]
        return (
            SimpleNamespace(**vars(namespace), __all__=sorted(vars(namespace)))
            if fromlist
            else SimpleNamespace(**vars(namespace))
        )

    return grant


def _letters(symbol: Any, fromlist: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: symbol(name) for name in fromlist or () if name.isalpha()})
