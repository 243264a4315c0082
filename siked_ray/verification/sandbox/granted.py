"""The names that programs of the second tier may use, by module: an allow-list, resolved once per server."""

import importlib
import sys
from types import SimpleNamespace
from typing import Any

from siked_ray.verification.sandbox import frozen

_SYMPY = """
    Abs Add And Basic ComplexInfinity E Eq Equality Expr FiniteSet Float Function Ge GreaterThan Gt I Integer
    Integral Interval Intersection Lambda Le LessThan Limit Lt Matrix Max Min Mod Mul N Naturals Naturals0 Ne Not
    Number Or Piecewise Poly Pow Product Q Range Rational Rationals RealNumber Reals Relational S Set
    StrictGreaterThan StrictLessThan Sum Symbol Tuple Unequality Union Unknown Wild Dummy Derivative Integers
    EmptySet Complement ImageSet Contains acos acosh apart arg asin asinh atan atan2 atanh binomial cancel cbrt
    ceiling collect comp conjugate cos cosh cot csc degree denom det diff divisors divisor_count expand expand_log
    expand_trig exp eye factor factorial factorint fibonacci floor frac fraction gcd gcd_list igcd ilcm im
    integer_nthroot integrate isprime is_monotonic lcm lcm_list limit linear_eq_to_matrix linsolve ln log logcombine
    lucas minimum maximum mod_inverse multinomial_coefficients nan nextprime nonlinsolve npartitions nroots
    nsimplify nsolve numer oo ones perfect_power pi poly powdenest powsimp powsolve prevprime prime primefactors
    primepi primerange product primitive radsimp ratsimp re real_root reduce_inequalities rem quo div residue root
    roots rsolve sec sech series sieve sign simplify sin sinc sinh solve solve_linear solve_linear_system
    solve_poly_system solve_univariate_inequality solveset sqrt sqrtdenest subfactorial summation symbols tan tanh
    together totient trigsimp true false var zeros zoo diag Heaviside gamma beta erf harmonic bernoulli catalan
    euler latex pprint pretty GoldenRatio EulerGamma real_roots sqf_list factor_list count_roots intervals
    ground_roots discriminant resultant reduced groebner Point Line Circle Triangle Polygon Segment Ray Plane
    Point2D Point3D crt nC nP deg rad factorial2 divisor_sigma primitive_root interpolate Permutation
    multiset_permutations
"""
#: sympy's names that its root does not have.
_SYMPY_BELOW = {
    "sympy.ntheory.modular": "crt",
    "sympy.functions.combinatorial.numbers": "nC nP",
    "sympy.combinatorics": "Permutation",
    "sympy.utilities.iterables": "multiset_permutations",
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
    "decimal": "Decimal getcontext ROUND_HALF_UP ROUND_HALF_EVEN ROUND_DOWN ROUND_UP ROUND_CEILING ROUND_FLOOR",
    "statistics": """
        mean fmean median median_low median_high mode multimode pstdev pvariance stdev variance geometric_mean
        harmonic_mean
    """,
    "itertools": """
    accumulate chain combinations combinations_with_replacement count cycle dropwhile groupby islice permutations
    product repeat starmap takewhile zip_longest pairwise
""",
    "functools": "reduce lru_cache cache partial cmp_to_key",
    "collections": "Counter defaultdict deque OrderedDict",
    "datetime": "date time datetime timedelta",
    "typing": "List Dict Tuple Set Optional Union Any Callable Iterable Sequence Iterator",
    "re": "findall search match fullmatch sub split",
    "numpy": """
    abs absolute all allclose any append arange arccos arcsin arctan arctan2 argmax argmin argsort array asarray
    average ceil clip concatenate cos count_nonzero cross cumprod cumsum degrees diag diff divide dot e exp eye
    float64 floor full gcd hypot inf int64 isclose lcm linspace log log10 log2 matmul max maximum mean median min
    minimum mod multiply nan ones outer percentile pi poly1d polyfit power prod radians repeat roots round sign sin
    sort sqrt square std subtract add sum tan tile trace transpose trunc unique var vstack hstack where zeros
""",
    "numpy.linalg": "det eig inv lstsq matrix_power norm solve",
    "random": "random randint choice seed shuffle sample uniform",
    "calendar": "monthrange isleap leapdays weekday day_name day_abbr month_name month_abbr",
    "operator": "add sub mul truediv floordiv mod neg pow eq ne lt le gt ge itemgetter",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits punctuation",
    "heapq": "heapify heappush heappop heappushpop heapreplace nlargest nsmallest merge",
    "copy": "copy deepcopy",
    "sys": "maxsize setrecursionlimit",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
}  # fmt: skip
_BUILTINS = """
    abs all any bin bool callable chr complex dict divmod enumerate filter float frozenset hex int isinstance iter len
    list map max min next oct ord pow range repr reversed round set slice sorted str sum tuple zip True False None
    Exception ArithmeticError
    AssertionError AttributeError IndexError KeyError LookupError NameError NotImplementedError OverflowError
    RecursionError RuntimeError StopIteration TypeError ValueError ZeroDivisionError ImportError ModuleNotFoundError
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
