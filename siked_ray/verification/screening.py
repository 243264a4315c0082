"""Refuses, by its text alone, a program that reaches for what no answer needs.

This is no wall (the sandboxes are): it keeps a program that tried to get out, was stopped, caught the
exception and then printed the right number from being counted as a correct rationale to learn from.
"""

import re

_HONEST_DUNDER_NAMES = """
name main init post_init str repr add radd sub rsub mul rmul truediv floordiv mod pow neg abs lt le gt ge eq ne hash len
iter next getitem setitem contains call doc float int bool future
"""
_REFUSED_MODULE_NAMES = """
os posix nt pathlib io subprocess socket shutil tempfile glob ctypes cffi signal multiprocessing threading _thread
concurrent importlib imp builtins gc inspect pickle cPickle marshal shelve dill cloudpickle resource pty fcntl mmap
urllib http requests ftplib smtplib ssl select selectors asyncio code codeop pdb ast dis types weakref atexit site
runpy zipimport pkgutil sysconfig platform psutil faulthandler tracemalloc webbrowser getpass pwd
"""
_HONEST_DUNDERS = frozenset(f"__{name}__" for name in _HONEST_DUNDER_NAMES.split())
_REFUSED_MODULES = frozenset(_REFUSED_MODULE_NAMES.split())
_DUNDER = re.compile(r"__[A-Za-z]\w*?__")
_IMPORT = re.compile(r"(?:^|[;:])[ \t]*(?:import[ \t]+([\w.,\t ]+)|from[ \t]+([\w.]+)[ \t]+import\b)", re.MULTILINE)
_REFUSED_CALLS = re.compile(
    r"\b(?:open|(?<!\bre\.)compile|exec|eval|getattr|setattr|delattr|breakpoint|globals|vars|memoryview|sympify|parse_expr"
    r"|lambdify)(?=\()|\bsys\.(?:modules|std\w+|_\w+)"
)


def refusal(code: str) -> str | None:
    """Why a program is not run at all, or None. Comments may say what they like."""
    code = "\n".join(map(_without_comment, code.split("\n")))
    for name in _DUNDER.findall(code):
        if name not in _HONEST_DUNDERS:
            return f"uses {name}"
    for match in _IMPORT.finditer(code):
        for name in re.split(r"[\s,]+", match[1] or match[2]):
            if name.split(".")[0] in _REFUSED_MODULES:
                return f"imports {name.split('.')[0]}"
    call = _REFUSED_CALLS.search(code)
    return f"uses {call.group()}" if call else None


def _without_comment(line: str) -> str:
    """The line up to its `#`, if what follows has no quotes and so cannot be part of a string."""
    code, _, comment = line.partition("#")
    return line if "'" in comment or '"' in comment else code
