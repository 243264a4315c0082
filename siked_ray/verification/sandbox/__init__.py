"""Killable worker processes: programs of the second tier, and symbolic equivalence.

`client` talks to `server` processes, which have the libraries loaded, run nothing of a program themselves and
fork one `jail`ed child per task. docs/verification.md says what that promises and what it does not.
"""
