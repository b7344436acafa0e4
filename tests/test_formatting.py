"""Numbers become words that nobody misreads, and tables that no name breaks."""

from __future__ import annotations

import pandas as pd

from mtl import formatting

NAN = float("nan")
WORDS = pd.DataFrame({"AUC": ["0.700", "–"], "verdict": ["helps", "cannot tell"]}, pd.Index(["a|b", "<i>"], name="set"))


def test_numbers_have_three_digits_and_a_real_minus():
    assert formatting.number(0.70049) == "0.700"
    assert formatting.signed(-0.0123) == "\N{MINUS SIGN}0.012"
    assert formatting.signed(-0.0001) == "+0.000"
    assert formatting.interval(0.61, 0.7) == "0.610–0.700"
    assert formatting.signed_interval(-0.01, 0.02).replace(formatting.SPACE, " ") == "\N{MINUS SIGN}0.010 to +0.020"


def test_what_is_not_there_is_a_dash():
    undefined = (
        formatting.number(NAN),
        formatting.signed(NAN),
        formatting.interval(NAN, 1),
        formatting.signed_interval(0, NAN),
    )
    assert set(undefined) == {formatting.NOTHING}


def test_a_p_is_never_zero():
    assert formatting.p_value(0.0001) == "<0.001"
    assert formatting.p_value(0.03125) == "0.031"
    assert formatting.p_value(NAN) == formatting.NOTHING


def test_one_thing_is_singular():
    assert (formatting.plural(1, "seed"), formatting.plural(0, "seed"), formatting.plural(6, "seed")) == (
        "1 seed",
        "0 seeds",
        "6 seeds",
    )


def test_markup_in_names_is_text():
    assert formatting.markdown_table(WORDS)[2:] == ["| a\\|b | 0.700 | helps |", "| \\<i> | – | cannot tell |"]
    assert "<td>&lt;i&gt;</td>" in formatting.html_table(WORDS)


def test_words_stand_left_and_numbers_right():
    page = formatting.html_table(WORDS)
    assert '<td class="word">helps</td>' in page
    assert "<td>0.700</td>" in page


def test_a_table_is_cut_where_the_width_ends_and_keeps_every_column():
    wide = pd.DataFrame({f"column {i}": ["0.123456"] for i in range(12)}, pd.Index(["row"], name="set"))
    parts = formatting.fitting(wide, 50)
    assert len(parts) > 1
    assert [name for part in parts for name in part.columns] == list(wide.columns)
    assert len(formatting.fitting(wide, 500)) == 1


def test_a_sentence_in_a_page_may_be_broken_into_lines():
    words = pd.DataFrame({"reason": ["5 words are no number " * 3, "short"]}, pd.Index(["a", "b"], name="set"))
    page = formatting.html_table(words)
    assert page.count('class="word sentence"') == 1
    assert page.count('class="word"') == 1


def test_a_number_has_a_real_minus_and_a_zero_none():
    assert [formatting.number(value) for value in (-0.0684, -0.0001, 0.5, float("nan"))] == [
        "−0.068",
        "0.000",
        "0.500",
        "–",
    ]
    assert formatting.number(-0.00012, 4) == "−0.0001"
