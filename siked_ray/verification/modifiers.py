"""The words and signs that make a number beside them part of something else: `not 5`, `5 squared`, `half of 5`.

A number counts only where nothing of this kind stands beside it. What is read from words and what is read from
digits ask here, so that there is one list.
"""

import re

_SMALL = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen"
    "|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million"
)
#: Another number: a digit, perhaps with a sign or a currency before it, or a number word.
_OTHER = rf"(?:an?\s+|the\s+)?(?:half\b|itself\b|[-+(]?\s?(?:[A-Z]{{1,2}})?[$£€₹¥]?\s?-?\.?\d|(?:{_SMALL})\b)"
_PARTS = (
    r"hal(?:f|ves)|thirds?|fourths?|quarters?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|elevenths?|twelfths?"
    r"|hundredths?|thousandths?|millionths?"
)
#: Beside a number, without another one, these change it.
_POSTFIX = (
    rf"squared|cubed|factorial|repeating|recurring|(?:{_PARTS})\b|lakhs?|crores?|lacs?|dozens?|gross|score|k|K|mil|mn|bn"
    r"|choose|raised|divided|multiplied|times\s+(?:itself|the\b)|to the\b|and\s+(?:a|an|one|two|three)\s+(?:"
    rf"{_PARTS})|or\s+(?:more|less|fewer|greater|higher|lower|over|under|above|below|older|younger|another|perhaps|maybe)\b"
    r"|and\s+(?:up|more|over|above|under|below)\b|per\s?mille?\b|tens\b|hundreds\b|thousands\b|millions\b|billions\b|squares?\s+root"
    r"|in\s+base\b|base\s+\d|doubled|tripled|halved|and\s+counting|(?:increased|decreased|reduced|lowered)\s+by|plus\b(?!\s+(?:tax|tip|shipping))|minus\b|mod(?:ulo)?\b|and\s+change\b"
)
#: Between two numbers, these make one thing of them; where a unit stands before them, only those that `_JOINS` names.
_JOINS_BARE = r"in|by|for\s+every|x|out\s+of|per|on|a"
_JOINS = (
    r"times|plus|minus|over|mod(?:ulo)?|choose|or|and|to|through|thru|until|till|versus|vs\.?|against|of|out\s+of|divided\s+by"
    r"|multiplied\s+by|less\s+than|more\s+than|fewer\s+than|greater\s+than|than|less|added\s+to|subtracted\s+from|percent\s+of"
)
#: Says when a number holds, and does not change it: `120 in two days`, `11:55 on 24 December`.
_WHEN = (
    rf"\s+in\s+(?:the\s+)?(?:\d+|{_SMALL})\s+(?:second|minute|hour|day|night|week|month|year)s?\b"
    r"|\s+on\s+(?:the\s+)?\d{1,2}(?:st|nd|rd|th)?\s+(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
)
#: Said of a number, it takes the number back.
_WRONG = (
    r"(?:is|was|are|were|seems?|looks?|would\s+be|can|could|does|do|must)(?:n't\b|\s+(?:not|wrong|incorrect|false|impossible|too|never|n't))"
    r"|can(?:no|')t|isn't|wasn't|aren't|doesn't|couldn't|wouldn't|wrong|incorrect|false"
)
_UNIT_WORDS = (
    r"(?:\s?%|\s+(?!(?:or|and|to|of|times|plus|minus|over|than|in|for|from|with|after|before|at|by|on|per|during|within|among|between|each|every"
    r"|because|since|as|when|if|who|which|that|so|but|while|until|into|is|are|was|were)\b)[A-Za-z][\w']*){0,4}"
)
_NOT_ALONE_AFTER = re.compile(
    rf"\s?[°%]?(?:\s*[+*^!\\_|<>&@#~{{\[{{±×÷≤≥≠²³]|\s*/|\s*=|\(\s?[-\d.]{{1,4}}\)|\s?\((?:or|plus|minus|times)\b(?!\))|(?:st|nd|rd|th)\s+(?:root|power)|\s+\d|'\d|[.,:]\d|\s?\.\.+\s?\d|\s?-+\s?[$£€]?\d"
    rf"|-(?![A-Za-z ])|\s-\s|\s?[^\x00-\x7f\w°€£¥₹₱]|[A-Za-z_]*\d|(?:[kKMBbCPx])(?![A-Za-z])"
    rf"|[-\s]+(?:{_POSTFIX})(?![A-Za-z])|(?!{_WHEN})\s+(?:{_JOINS_BARE})\s+{_OTHER}"
    rf"|{_UNIT_WORDS}(?:\s*[+*^<>=|±\\]|\s+-\s|\s*/\s*\d|,?\s+(?:{_JOINS})\s+{_OTHER}|\s+(?:plus|minus|divided\s+by|multiplied\s+by|raised|{_WRONG})\b"
    rf"|\s+and\s+(?:a|an)\s+(?:{_PARTS})\b|\s+[$£€]?\d))"
)
_FUNCTION = (
    r"sqrt|cbrt|log|ln|lg|sin|cos|tan|sec|csc|cot|exp|abs|min|max|lcm|gcd|gcf|hcf|mod|floor|ceil|round|f|g|h|P|C|E"
    r"|sum|phi|det"
)
_OF = (
    r"root|squares?|cubes?|reciprocal|inverse|sum|product|difference|quotient|logarithm|log|sine|cosine|tangent|factorial|multiples?"
    rf"|powers?|percent|percentage|fraction|{_PARTS}|double|triple|twice|value|negative|negation|opposite|complement|factors?|divisors?"
    r"|ratio|remainder|average|mean|median|lcm|gcd|function|combinations?|permutations?|\d|%"
)
_NEGATION = (
    r"not|never|cannot|n't|nt|neither|nor|without|except(?:ing|\s+for)?|excluding|(?:any|every|no|all)(?:thing|\s+numbers?|one)?\s+but"
    r"|other\s+than|rather\s+than|instead\s+of|as\s+opposed\s+to|far\s+from|unlike|no\s+(?:more|less|fewer|greater|longer)|hardly|incorrect(?:ly)?"
    r"|wrong(?:ly)?|different\s+from|anything\s+else\s+than|false"
)
_COMPARISON = (
    r"than|at\s+least|at\s+most|up\s+to|over|under|above|below|exceed(?:s|ing)?|almost|nearly|just\s+(?:under|over|about\s+under)"
    r"|close\s+to|within|beyond|between|until|till|past|minimum\s+of|maximum\s+of|no\s+(?:more|less|fewer)|beneath|greater|less|fewer"
    r"|either|both|half|double|twice|thrice|triple|quadruple|times|plus|minus|divided\s+by|multiplied\s+by|divisible\s+by|choose|mod(?:ulo)?"
    r"|raised|(?:square|cube)\s+root|squared|cubed|factorial|of\s+either|out\s+of|power|negative|minus|versus|vs\.?|per|a\s+(?:third|quarter)"
    r"|base|add|subtract|multiply|divide|subtracted\s+from|added\s+to|opposite|mixed|quarter|third|index|degree"
)
_NOT_ALONE_BEFORE = re.compile(
    rf"(?:(?<![A-Za-z])-|[+*/^<>|!_&\\{{\[@]|\d\s?%|[^\x00-\x7f\w]|\d)\s*\(?$|[A-Za-z_]\(?$"
    rf"|\b(?:{_FUNCTION})\s*[({{]?\s*$|(?:\b(?:{_OF})|%)\s+(?:of|between)\s+(?:the\s+|a\s+)?[^.;]{{0,60}}$"
    rf"|(?:\d|\b(?:{_SMALL})\b)[^.;]{{0,30}}\s(?:to|or|and|through)\s+[$£€]?$|\b(?:{_COMPARISON})\s+(?:a\s+|an\s+|the\s+|about\s+|by\s+)?[$£€]?$",
    re.IGNORECASE,
)
#: Among the arguments of a function: `lcm(4, 6)`.
_IN_CALL = re.compile(rf"(?<![A-Za-z])(?:{_FUNCTION})\s?[({{][^(){{}}]*$", re.IGNORECASE)
_DENIED = re.compile(rf"(?:\b(?:{_NEGATION})|n't)\b[^,;.]*$", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[,;:]\s|\b(?:comes?|came|amounts?|adds?\s+up|added\s+up|sums?\s+up|equal|simplifies|reduces|round(?:s|ed)?(?:\s+(?:up|down))?)\s+to\b"
    r"|\b(?:because|since|so|therefore|thus|hence|is|are|was|were|equals?|has|have|had|gets?|makes?|gives?|means|leaves?"
    r"|costs?|pays?|paid|needs?|earns?|spent|spends?)\b",
    re.IGNORECASE,
)
#: What no word of a unit begins with, for a look-ahead.
NOT_A_UNIT = (
    rf"(?:(?:{_POSTFIX}|{_WRONG}|is|was|times|over|than|and|to|not|but|except|out|point|or(?!\s+so\b)|{_SMALL})"
    r"(?![A-Za-z'-])|(?-i:[kKMBx])(?![A-Za-z'./-]))"
)


def is_changed(text: str, start: int, end: int) -> bool:
    """Whether something beside the number in text[start:end] makes it part of something else, or denies it."""
    before = text[:start]
    if before and _is_changed_before(before):
        return True
    return bool(_NOT_ALONE_AFTER.match(text, end)) if end < len(text) else False


def _is_changed_before(before: str) -> bool:
    if _DENIED.search(before[-120:]) or _IN_CALL.search(before[-60:]):
        return True
    clause = before[_last_end(_CLAUSE, before) :]
    return bool(_NOT_ALONE_BEFORE.search(clause[-100:]))


def changes(label: str) -> bool:
    """Whether the label before a number, `x` of `x = 5`, says that the answer is not that number: `half of x`."""
    return bool(_DENIED.search(label)) or bool(_NOT_ALONE_BEFORE.search(label + " "))


def denies(text: str) -> bool:
    """Whether what follows this text is denied by it: `it is not`, `anything but`."""
    return bool(_DENIED.search(text[-120:]))


def last_clause(text: str) -> str:
    """What follows the last comma, colon or verb: `3 + 4` of `Those who are not here are 3 + 4`."""
    return text[_last_end(_CLAUSE, text) :]


def _last_end(pattern: re.Pattern[str], text: str) -> int:
    end = 0
    for match in pattern.finditer(text):
        end = match.end()
    return end
