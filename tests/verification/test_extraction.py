"""What is read from a text, and by which rule."""

import pytest

from siked_ray.verification import extract_answer
from siked_ray.verification.extraction import extract_choice

_READ = [
    ("Final Answer: 72", "72"),
    ("final answer is 72", "72"),
    ("**Final Answer:** 72", "72"),
    ("**Final Answer**: **72**", "72"),
    ("Final Answer:\n\n72", "72"),
    ("Final Answer:\n\\[\n72\n\\]", "72"),
    ("### Final Answer:\n$$72$$", "72"),
    ("#### 1,234.50", "1234.50"),
    ("####72", "72"),
    ("The answer is 66 dollars.", "66"),
    ("The answer is $66.", "66"),
    ("The answer is -$66.", "-66"),
    ("The answer is: US$1,080.", "1080"),
    ("The answer is 50%.", "50%"),
    ("The answer is 50 percent", "50%"),
    ("The answer is 3 hours.", "3"),
    ("The answer is 3 square meters (m^2).", "3"),
    ("The answer is 25 mph", "25"),
    ("The answer is 100°C", "100"),
    ("Final Answer: 60 m²", "60"),
    ("Final Answer: $5.00/hour", "5.00"),
    ("Final Answer: = -3", "-3"),
    ("Final Answer: x = -3", "-3"),
    ("Final Answer: \u22123", "-3"),
    ("Final Answer: \u20133", "-3"),
    ("Final Answer: +3", "3"),
    ("Final Answer: 3/4", "3/4"),
    ("Final Answer: 1 3/4 cups", "1 3/4"),
    ("Final Answer: 5½", "5 1/2"),
    ("Final Answer: ½", "1/2"),
    (r"Final Answer: \frac{3}{4}", "3/4"),
    (r"Final Answer: $-\frac{3}{4}$", "-3/4"),
    (r"Final Answer: 1\frac{1}{2}", "1 1/2"),
    (r"Final Answer: \dfrac12", "1/2"),
    ("Final Answer: -(1/3)", "-1/3"),
    ("Final Answer: 1.5e3", "1500"),
    ("Final Answer: 1.5 x 10^3", "1500"),
    (r"Final Answer: $1.5 \times 10^{-2}$", "0.015"),
    ("Final Answer: 2.5 million dollars", "2500000"),
    ("Final Answer: 3:2", "3:2"),
    ("Final Answer: 3 : 2", "3:2"),
    ("Final Answer: 3 to 2", "3:2"),
    ("Final Answer: 3:30 p.m.", "3:30 pm"),
    ("Final Answer: at 3:30 PM sharp", "3:30 pm"),
    ("Final Answer: 9:03:36 a.m.", "9:03:36 am"),
    ("Final Answer: twelve", "12"),
    ("Final Answer: twenty-five apples", "25"),
    ("Final Answer: two hundred and six.", "206"),
    ("Final Answer: 12; 8", "12; 8"),
    ("Final Answer: 12 (boys); 8 (girls)", "12; 8"),
    ("Final Answer: 12 boys and 8 girls", "12; 8"),
    ("Final Answer: x = 12, y = 8", "12; 8"),
    ("Final Answer: (3, 4)", "(3, 4)"),
    (r"\boxed{\$12{,}345\text{ dollars}}", "12345"),
    (r"so $\boxed{\text{66 dollars}}$.", "66"),
    (r"\boxed{1\,234}", "1234"),
    (r"\boxed{50\%}", "50%"),
    (r"Final Answer: The result is \boxed{7}.", "7"),
    (r"Final Answer: \sqrt{2}", r"\sqrt{2}"),
    (r"\boxed{\frac{\sqrt{3}}{2}}", r"\frac{\sqrt{3}}{2}"),
    ("Final Answer: 1\u202f234", "1234"),
    ("Final Answer: 1_000", "1000"),
    ("Final Answer: .5", "0.5"),
    ("Final Answer: \uff17\uff12", "72"),
    ("Final Answer: 3 + 4 = 7 eggs", "7"),
    ("Final Answer: 3 eggs + 4 eggs = 7 eggs.", "7"),
    ("Final Answer: 12 (since 24 = 2 * 12)", "12"),
    ("Final Answer: 12, because 24 / 2 = 12.", "12"),
    ("Final Answer: <<3+4=7>>7", "7"),
    ("Final Answer: 20 * 5", "20 * 5"),
    ("Final Answer: 5-3", "5-3"),
    ("The answer is that 3 friends paid 20 dollars.", "20"),
    ("The answer is 18 dollars for 3 friends.", "18"),
    ("Final Answer: Sunday", "Sunday"),
    ("Final Answer: (B) 12", "12"),
    ("Final Answer: (B)", "(B)"),
    ("The answer is (B).", "(B)"),
    ("The correct answer is C)20%.", "20%"),
    ("So, the correct answer is:\n\nD) Monday", "Monday"),
    ("Final Answer: D) Monday", "Monday"),
    ("Final Answer: A: 5", "5"),
    ("Final Answer: (a + b)(a - b)", "(a + b)(a - b)"),
    ("Therefore, the answer (arabic numerals) is 3.\n\nShe has 4 bags.", "3"),
    ("Therefore, the answer (arabic numerals) is: \n\nDoug had -3 + 12 = 9 marbles.", "9"),
    ("Final Answer: minus 5", "-5"),
    ("Final Answer: negative five", "-5"),
    (r"\boxed{0.\overline{3}}", r"0.\overline{3}"),
    ("Final Answer: Mrs. Hilt", "Mrs. Hilt"),
    ("The answer is 5. No wait.\nThe answer is 6.", "6"),
    ("#### 5\n\nQuestion: What is next?\n#### 6", "5"),
    ("#### Step 1\n3 + 4 = 7\n#### Step 2\n7 * 2 = 14\nThe answer is 14.", "14"),
    ("#### Answer\nIt is 14", "14"),
    ("#### 5\nQuestion 2: What is next?\n#### 6", "5"),
    ("#### 5\n[Question] What is next?\n#### 6", "5"),
    ("He has 4 + 5 = 9. The answer is 9.\n\nQ: And 29?\nA: The answer is 29.", "9"),
    ("Answer: 9\n\nHuman: And 29?\n\nAssistant: The answer is 29.", "9"),
    ("The answer is 9.<|endoftext|>The answer is 29.", "9"),
    ("Q: How many first?\nA: The answer is 5.\n\nQ: How many in all?\nA: The answer is 9.", "9"),
    ("The answer is 5,\nwhich is right.", "5"),
    ("The answer is 3:\n\nthree apples", "3"),
    ("#### 4x", "4"),
    ("The answer is 50 - 8 which equals 42.", "42"),
    ("The answer is <b>5</b>.", "5"),
    ("Final Answer: 1.5 \u00d7 10\u207b\u00b3", "0.0015"),
    ("Final Answer: He will have $42 left after 3 days.", "42"),
    ("Weng earned **$10** for 50 minutes", "10"),
    (r"\boxed{10,\!080}", "10080"),
    (r"\boxed{16 \text{ m}^2}", "16"),
    (r"\boxed{16 m^{2}}", "16"),
    (r"\boxed{\frac{3}{4}\pi}", r"\frac{3}{4}\pi"),
    (r"\boxed{2x}", "2x"),
    ("The answer is: $[2,5)$", "[2, 5)"),
    ("The answer is $3:2$.", "3:2"),
    ("Final Answer: a=3,b=4", "3; 4"),
    # words are no answer where a number is stated elsewhere
    ("The answer is the number of ways.\n\nThere are $\\boxed{12}$ ways.", "12"),
    ("The answer is given by\n\\[3 \\cdot 4 = \\boxed{12}.\\]", "12"),
    ("So the answer is not an integer unless x = 3.\n\nHence $\\boxed{12}$.", "12"),
    ("The answer is 16. I checked that the answer is right.", "16"),
    ("The answer is the sum of both of these numbers.\nSo 12 in all.", "12"),
    ("The answer is Sunday. She walked 3 miles.", "Sunday"),
    ("She has 3. Answer: Sunday", "Sunday"),
    (r"\boxed{5!}", "5!"),
    (r"\boxed{120 = 5!}", "5!"),
    (r"\boxed{5! = 120}", "120"),
    ("The answer is $5!$.", "5!"),
    ("The answer is 5!", "5"),
    (r"\boxed{2(k+1)}", "2(k+1)"),
    (r"\boxed{5x-15}", "5x-15"),
    (r"\boxed{6xy}", "6xy"),
    ("The answer is 1/4 or 25%.", "1/4"),
    ("He reads 42 pages.\n\n### Instruction:\nCount to 3\n\n### Response:\n1, 2, 3", "42"),
    ("He reads 42 pages.\n\nUser: And on 2 days?\nAssistant: 84.", "42"),
    ("Final Answer: 0", "0"),
    ("Final Answer: -0.5", "-0.5"),
    ("Final Answer: 10000000000000000000001", "10000000000000000000001"),
    # what stands behind a marker may lead up to the answer, or restate the question
    ("Final Answer: How many are left after 3 days?\nHe has 9 - 4 = 5 left.\nThe answer is 5.", "5"),
    ("Final Answer: How many are left? 5", "5"),
    ("Final Answer: Find the number of boxes.\nThere are 3 boxes of 15.\nThe answer is 45.", "45"),
    ("Final Answer:\nThe number left after 3 days is:\n\\boxed{45}", "45"),
    ("**Final Answer:**\n\nAfter 3 days Tom has:\n\n$$\n45\n$$", "45"),
    ("**Final Answer:** After 3 days, Tom has **45** pens in 5 boxes.", "45"),
    ("Final Answer: After 3 days, Tom has 45 pens in 5 boxes.", "45"),
    (r"Final Answer: Tom, who is 12, has \(45\) pens.", "45"),
    ("Final Answer:\n- 45 apples", "45"),
    ("Answer:\n+ 45", "45"),
    ("Final Answer:\n> 45", "45"),
    ("Final Answer:\n| Pens | 45 |", "45"),
    ("Final Answer:\n```\n45\n```", "45"),
    (r"A box of 3: \boxed 7 marbles, after 10 days.", "7"),
    ("Final Answer: 17\n\nWait, I forgot three. The correct answer is 20.", "20"),
    ("#### 12 Question: Tom has 5 and 6. Answer: 5+6=11 #### 11", "12"),
    ("Final Answer: 12 [l2m]: Q1. How many? Final Answer: 11", "12"),
    ("Final Answer: 12<eos><bos>Final Answer: 11", "12"),
    ("Final Answer: 12<turn|>\n<|turn>user\nFinal Answer: 11", "12"),
    ("<answer> 42 apples </answer>", "42"),
    ("Final Answer: seven and a half hours", "7.5"),
    ("Final Answer: three quarters of a cup", "0.75"),
    ("Final Answer: two thirds", "2/3"),
    ("Final Answer: minus two point five", "-2.5"),
    ("Final Answer: 12 500 km", "12500"),
    ("Final Answer: 1'234'567", "1234567"),
    ("Final Answer: 3x + 2 = 10", "3x + 2 = 10"),
    ("Final Answer: 2x = 10, so x = 5", "5"),
    ("The answer is 198 cents or $1.98.", "198"),
    # fall-backs
    ("26 / 4 = 6.5. Since she can't make half a card, Melody will be able to make 6 cards.", "6"),
    ("39 ÷ 7 = 5 with a remainder of 4. So, there are 4 balloons left.", "4"),
    ("The tens digit is 4 * 2 = 8. The original number is 82.", "82"),
    ("x = 4 and y = 5. So, the number is 10 * 4 + 5 = 45.", "45"),
    ("5 + 3 = 8. She has 2 dogs too, by the way, and feeds them.", "8"),
    ("We get x + 3 = 40. So, x = 40 - 3 = 37. Ben had 37 cards.", "37"),
    ("So 2x = 12 follows. The number is 6.", "6"),
    ("So he has 5 + 3 = 8 apples.", "8"),
    ("so x = -3", "-3"),
    ("The temperature is -3 degrees", "-3"),
    ("They met on Day-3", "3"),
    ("First 3 and then 4", "4"),
    ("Steps...\nA: 26", "26"),
    ("Answer: 26 eggs\n", "26"),
    ("Total: $1,234.50", "1234.50"),
    ("He pays 16 - 3 - 4 = <<16-3-4=9>>9 dollars", "9"),
]


@pytest.mark.parametrize(("text", "answer"), _READ)
def test_read(text: str, answer: str) -> None:
    assert extract_answer(text).answer == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5 + 3 = 8. Therefore, it is not 8.",
        "5 + 3 = 8. So she has fewer than 8 apples.",
        "no number",
        "Final Answer:",
        "Final Answer: **",
        "####",
        r"\boxed{}",
        "The answer is",
        "\n\n",
        "\\",
        "$",
        "-",
        "?!",
        "Final Answer: No answer found 3",
        "It is 5-3",
        "It is 5 - 3 in total",
        "Final Answer: 7? No.",
        "Final Answer: 17\n\nWait, I forgot three of them.",
        "The answer is not 17.",
    ],
)
def test_no_answer_is_none(text: str) -> None:
    assert extract_answer(text).answer is None


@pytest.mark.parametrize(
    "text",
    [
        "Final Answer: 1,",
        "#### 3/",
        r"Final Answer: \boxed{12",
        r"so it is \boxed{12",
        r"#### \frac{1}{",
        r"#### \frac{1}",
        "Final Answer: 1e",
        "#### -",
        "#### 3:",
    ],
)
def test_visibly_cut_answers_are_not_read(text: str) -> None:
    assert extract_answer("There are 7. " + text).answer is None


@pytest.mark.parametrize(
    "text", ["#### 12", "Final Answer: 12", "Final Answer: 12.", "He has 12", "It is 3 + 9 = 12", "The answer is 12 do"]
)
def test_truncated_generation_is_not_trusted_at_its_end(text: str) -> None:
    assert extract_answer(text, truncated=True).answer is None
    assert extract_answer(text + "\nThe end", truncated=True).answer == "12" or "#" not in text


def test_least_to_most_poses_its_questions_to_itself() -> None:
    text = "First he has 5. The answer is 5.\n\nQ: How many in all?\nA: 5 + 4 = 9. The answer is 9."
    assert extract_answer(text).answer == "5"
    assert extract_answer(text, asks_itself=True).answer == "9"


@pytest.mark.parametrize(
    "text",
    [
        "C",
        "(C)",
        "Option C",
        "Answer: C",
        "**Answer:** C",
        "The correct answer is **C**.",
        "The correct option is C.",
        "Hence, option C is correct.",
        "The answer is C because 3 + 4 = 7",
        "The answer is C, 45.",
        "The answer is C \u2013 10 km",
        "The answer is 10 (C).",
        "The answer is option (C) 10",
        "3 + 4 = 7, therefore (C)",
        "The answer is C, none of these",
        "The answer is $C$",
        r"\boxed{\textbf{(C)}\ 12}",
        "Final Answer: The correct answer is C",
        "Therefore, the correct choice is C: 5",
        "The answer is (c).",
        "The answer is closest to C, 35%.",
        "So its length is 150 metres, which is option C.",
    ],
)
def test_the_letter_of_an_option(text: str) -> None:
    assert extract_choice(text) == "C"


@pytest.mark.parametrize(
    "text",
    ["The answer is A train", "I think I am done", "There are 12 cows", "#### 5", "", "P(A) = 0.5", "It is not C"],
)
def test_no_letter(text: str) -> None:
    assert extract_choice(text) == ""


def test_markers_are_settings_and_say_how_it_was_read() -> None:
    text = "RESULT => 5\nThe answer is 6."
    extraction = extract_answer(text, ("RESULT =>",))
    assert (extraction.answer, extraction.by_marker) == ("5", True)
    assert extract_answer(text, ("Nothing:",)).rule == "fall-back: The answer is"
    assert extract_answer("so 7 then", ("Nothing:",)).rule == "fall-back: last number"
    assert extract_answer("3 + 4 = 7").rule == "fall-back: last equation"


def test_a_later_marker_answers_where_an_earlier_one_is_empty() -> None:
    assert extract_answer("The answer is 5. Final Answer:").answer == "5"
    assert extract_answer("There are 5. Final Answer:").answer is None
