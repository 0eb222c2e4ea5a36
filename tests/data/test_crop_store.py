"""A folder of crops: what is written is read, whole or not at all, and never made twice."""

import numpy as np
import pytest
import torch

from tests.volume.made_crops import crops_of, linear
from volspine.data import crop_store
from volspine.data.crop_store import (
    AS_FILED,
    CropStore,
    StoredCrops,
    crop_specs,
    person_name,
    read_crops,
    render_crops,
    render_person,
    write_crops,
)
from volspine.errors import ConfigurationError, InputError
from volspine.phantom.levels import PhantomLevels, phantom_levels
from volspine.phantom.spec import Cohort, Noise, Size, Spec

PEOPLE = {Cohort.RSNA_LIKE: 2, Cohort.PROBE: 3}


def cheap(spec: Spec) -> PhantomLevels:
    """What `phantom_levels` returns, without a picture worth the name."""
    rng = torch.Generator().manual_seed(spec.seed * 1000 + spec.index)
    crops = crops_of(linear)
    crops = crops._replace(
        sagittal=torch.rand(crops.sagittal.shape, generator=rng).half(),
        axial=crops.axial.half(),
        axial_mask=torch.rand(crops.axial.shape, generator=rng) > 0.3,
    )
    labels = torch.randint(-1, 3, (len(Noise), 25), generator=rng)
    return PhantomLevels(crops, labels[0].clamp(min=0), labels)


@pytest.fixture
def rendered(monkeypatch) -> list[Spec]:
    """Who was rendered, cheaply."""
    seen: list[Spec] = []
    monkeypatch.setattr(
        crop_store, "phantom_levels", lambda spec: (seen.append(spec), cheap(spec))[1]
    )
    return seen


def test_what_is_written_is_read_bit_for_bit(tmp_path):
    made = cheap(Spec(seed=3))
    labels = {noise.value: row for noise, row in zip(Noise, made.labels, strict=True)}
    points = made.crops.points_mm.clone()
    points[4] = torch.nan
    stored = StoredCrops("someone", made.crops._replace(points_mm=points), made.grades, labels, {})
    found = read_crops(write_crops(tmp_path / "a.npz", stored))
    for ours, theirs in zip(stored.crops, found.crops, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours.nan_to_num(-1.0), theirs.nan_to_num(-1.0))
    assert found.name == "someone"
    assert torch.equal(found.grades, made.grades)
    assert all(torch.equal(found.labels[name], row) for name, row in labels.items())


def test_a_person_on_disk_is_the_phantom(tmp_path):
    spec = Spec(seed=6, index=3, cohort=Cohort.CLEAN, size=Size.SMALL)
    made, found = phantom_levels(spec), read_crops(render_person(tmp_path, spec))
    assert all(torch.equal(a, b) for a, b in zip(made.crops, found.crops, strict=True))
    assert torch.equal(found.grades, made.grades)
    assert found.name == "clean_small_6_00003"


def test_nobody_is_rendered_twice(tmp_path, rendered):
    specs = crop_specs(PEOPLE, seed=7)
    render_crops(specs[:2], tmp_path)
    before = (tmp_path / f"{person_name(specs[0])}.npz").stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    store = render_crops(specs, tmp_path, progress=lambda *done: told.append(done))
    assert rendered == specs
    assert told == [(3, 5), (4, 5), (5, 5)]
    assert (tmp_path / f"{person_name(specs[0])}.npz").stat().st_mtime_ns == before
    assert [each.name for each in store] == [person_name(spec) for spec in specs]


def test_the_same_person_is_the_same_file(tmp_path, rendered):
    spec = Spec(seed=7)
    files = [render_person(tmp_path / name, spec).read_bytes() for name in "ab"]
    assert files[0] == files[1]
    assert len(rendered) == 2


def test_people_of_another_cohort_seed_or_size_are_other_files():
    specs = [
        *crop_specs(PEOPLE, seed=7), *crop_specs(PEOPLE, seed=8),
        *crop_specs(PEOPLE, seed=7, size=Size.SMALL),
    ]  # fmt: skip
    assert len({person_name(spec) for spec in specs}) == len(specs) == 15


def test_labels_are_those_of_the_reader(tmp_path, rendered):
    specs = crop_specs(PEOPLE, seed=7)
    store = render_crops(specs, tmp_path)
    for reader in Noise:
        wanted = [store[n].read_by(reader).numpy() for n in range(len(store))]
        np.testing.assert_array_equal(store.labels(reader), wanted)
    assert not np.array_equal(store.labels(Noise.NONE), store.labels(Noise.SINGLE_READER))
    assert len(rendered) == len(specs)


def test_a_real_study_has_the_labels_that_were_filed(tmp_path):
    made = cheap(Spec())
    row = made.labels[0]
    write_crops(tmp_path / "1.npz", StoredCrops("1", made.crops, row, {AS_FILED: row}, {}))
    store = CropStore.open(tmp_path)
    for reader in Noise:
        assert torch.equal(store[0].read_by(reader), row)
        np.testing.assert_array_equal(store.labels(reader)[0], row.numpy())


def test_a_file_of_another_version_is_refused(tmp_path, rendered, monkeypatch):
    path = render_person(tmp_path, Spec())
    monkeypatch.setattr(crop_store, "VERSION", crop_store.VERSION + 1)
    with pytest.raises(InputError, match="no crops of this version"):
        read_crops(path)
    assert len(rendered) == 1


@pytest.mark.parametrize("kept", [0, 100, 50_000])
def test_half_a_file_is_refused(tmp_path, rendered, kept):
    path = render_person(tmp_path, Spec())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError):
        read_crops(path)
    with pytest.raises(InputError):
        CropStore([path]).labels(Noise.NONE)
    assert len(rendered) == 1


def test_an_empty_store_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no crops are there"):
        CropStore.open(tmp_path)


@pytest.mark.slow
def test_two_workers_write_the_files_of_one(tmp_path):
    specs = crop_specs({Cohort.CLEAN: 2}, seed=6, size=Size.SMALL)
    one = render_crops(specs, tmp_path / "one")
    two = render_crops(specs, tmp_path / "two", workers=2)
    for ours, theirs in zip(one.files, two.files, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
