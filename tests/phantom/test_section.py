"""Sections: tables read at points, and parts of a section."""

from dataclasses import fields

import numpy as np
import pytest

from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.section import build_section
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.truth import build_truth


@pytest.fixture(scope="module")
def anatomy():
    return build_truth(Spec(seed=4, cohort=Cohort.CLEAN, size=Size.SMALL)).anatomy


def column(anatomy, count=40):
    z = np.linspace(40.0, -60.0, count)
    return build_section(anatomy, anatomy.frame.place(np.zeros(count), z))


def test_the_middle_of_a_disc_is_neither_above_nor_below_it(anatomy):
    # Bodies are wedges, so the middle of the disc is not quite the middle of the segment.
    y, z = anatomy.frame.locate(FIRST_SEGMENT + 3, 0.5, 0.0)
    section = build_section(anatomy, anatomy.frame.place(np.array([y]), np.array([z])))
    assert section.segment[0] == FIRST_SEGMENT + 3
    assert abs(section.w[0]) < 1.5
    assert section.at_disc[0] > 0.99
    assert section.under[0] > 0 < section.over[0]


def test_sides_are_read_from_their_own_columns(anatomy):
    section = column(anatomy)
    table = anatomy.subject.facet_angles
    assert section.facet_left == pytest.approx(table[section.segment, 0], rel=1e-6)
    assert section.facet_right == pytest.approx(table[section.segment, 1], rel=1e-6)


def test_a_part_of_a_section_is_the_section_of_the_part(anatomy):
    section, index = column(anatomy), np.array([3, 17, 30])
    for part in (section.take(index), section.take(slice(3, 31)).take(index - 3)):
        for field in fields(section):
            assert (getattr(part, field.name) == getattr(section, field.name)[index]).all()


def test_tables_are_single_precision(anatomy):
    section = column(anatomy)
    kinds = {getattr(section, f.name).dtype for f in fields(section)} - {section.segment.dtype}
    assert kinds == {np.dtype(np.float32)}
