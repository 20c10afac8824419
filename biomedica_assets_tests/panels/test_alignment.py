"""Which panels a figure's texts name, and which words belong to each."""

from __future__ import annotations

from biomedica_assets.panels.alignment import Part, named_panels

TEXT = "Title. (A) One. (B) Two. (C) Three."


def rows(*pieces):
    return [{"panel": panel, "text": TEXT[a:b], "start": a, "end": b} for panel, a, b in pieces]


def test_a_caption_that_names_all_its_panels_counts_them():
    named = named_panels(TEXT, rows(("A", 11, 15), ("B", 20, 24), ("C", 29, 35)))
    assert named.letters == ("A", "B", "C")
    assert named.counted
    assert named.parts == {"A": Part(11, 15, "One."), "B": Part(20, 24, "Two."), "C": Part(29, 35, "Three.")}
    assert named.own_letter is None


def test_letters_of_the_text_are_added_but_not_counted():
    named = named_panels(TEXT, rows(("A", 11, 15), ("B", 20, 24)), ["D", "B"])
    assert named.letters == ("A", "B", "C", "D")  # C must be there when D is
    assert not named.counted


def test_a_far_letter_is_a_slip():
    assert named_panels(None, None, ["A", "B", "X"]).letters == ("A", "B")


def test_one_letter_is_no_panel():
    assert named_panels(None, None, ["A"]).letters == ()


def test_numbered_parts_belong_to_their_letter():
    named = named_panels(TEXT, rows(("A", 11, 15), ("B1", 20, 24), ("B2", 29, 35)))
    assert named.letters == ("A", "B")
    assert named.parts["B"] == Part(20, 35, "Two. (C) Three.")


def test_places_in_the_order_in_which_they_lie():
    three = named_panels(TEXT, rows(("RIGHT", 11, 15), ("LEFT", 20, 24), ("MIDDLE", 29, 35)))
    assert (three.letters, three.places) == ((), ("LEFT", "MIDDLE", "RIGHT"))
    four = named_panels(TEXT, rows(*((place, 11, 15) for place in
                                     ("BOTTOM RIGHT", "TOP RIGHT", "BOTTOM LEFT", "TOP LEFT"))))  # fmt: skip
    assert four.places == ("TOP LEFT", "TOP RIGHT", "BOTTOM LEFT", "BOTTOM RIGHT")


def test_as_many_files_as_letters_are_one_file_per_panel():
    pieces = rows(("A", 11, 15), ("B", 20, 24), ("C", 29, 35))
    assert [named_panels(TEXT, pieces, files=3, place=n).own_letter for n in (1, 2, 3)] == ["A", "B", "C"]
    other = named_panels(TEXT, pieces, files=2, place=1)
    assert other.own_letter is None
    assert not other.counted  # each file shows some of them


def test_a_label_that_is_a_letter_has_the_whole_caption():
    named = named_panels("First visit.", [], own_letter="A")
    assert (named.own_letter, named.parts) == ("A", {"A": Part(0, 12, "First visit.")})
    assert named_panels(None, None, own_letter="A").parts == {}
