"""What a model was measured to doubt: in its bundle, in a result, as a warning, as a refusal."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from tests.faults.test_f03_pickles import admit
from tests.inference.made_up import make_study, tiny_card, tiny_grader
from tests.inference.made_up_levels import BrightnessGrader, landmarks, level_predictor
from tests.inference.test_bundle_level import SMALL
from tests.inference.test_bundle_localizer import tiny_localizer
from tests.inference.test_level_mode import reflected
from tests.inference.test_predictor import mirrored
from volspine.cli import main
from volspine.errors import ConfigurationError, InputError, WeightsError
from volspine.geometry.stack import Stack
from volspine.inference.bundle import load_bundle, write_bundle
from volspine.inference.bundle_doubt import add_doubt
from volspine.inference.doubt import Impression, Usual, impression_of
from volspine.inference.doubt_record import JUDGED, DoubtRecord, read_doubt, warnings_of
from volspine.inference.predictor import Options, Predictor
from volspine.inference.tables import write_tables
from volspine.models.level_grader import LevelGrader
from volspine.report.origin import strangeness
from volspine.views import VIEWS
from volspine.volume.level_study import study_crops_of

pytestmark = pytest.mark.slow

FLAT = np.ones(25)


def seen(study):
    crops, _ = study_crops_of(study, landmarks())
    return impression_of([BrightnessGrader()], crops, temperature=FLAT, draws=1)


@pytest.fixture(scope="module")
def measured():
    """A record of plain spines that differ in their noise, and one that is first in no measure."""
    usual = Usual.of([seen(make_study(n)) for n in range(5)])
    seeds = range(5, 12)
    doubts = [usual.doubts(seen(make_study(n))) for n in seeds]
    inside = {name: [d[name] for d in doubts] for name in JUDGED}
    first = {int(np.argmax(inside[name])) for name in JUDGED}
    quiet = next(n for k, n in enumerate(seeds) if k not in first)
    return DoubtRecord.of(usual, inside, weights_sha256=""), quiet


@pytest.fixture(scope="module")
def record(measured):
    return measured[0]


@pytest.fixture
def plain(measured):
    """A study that is as usual as any."""
    return make_study(measured[1])


@pytest.fixture
def predictor_of(monkeypatch, record):
    """From landmarks to a predictor with doubts."""

    def make(found=None, doubt=record):
        made = level_predictor(monkeypatch, found or landmarks())
        return Predictor(dataclasses.replace(made.bundle, doubt=doubt), device="cpu")

    return make


def with_axial(study, change):
    """A study whose axial slices are changed."""
    series = [
        dataclasses.replace(
            s, stacks=[Stack.from_array(change(t.voxels), t.affine_lps) for t in s.stacks]
        )
        if s.protocol.value == "axial_t2"
        else s
        for s in study.series
    ]
    return dataclasses.replace(study, series=series)


def strange_study():
    """Its axial series is a negative."""
    return with_axial(make_study(5), lambda voxels: voxels.max() - voxels)


def made_up_record(features=4, weights="w", studies=9):
    """A record of random numbers for trunks of some width."""
    rng = np.random.default_rng(0)

    def impression():
        return Impression(
            samples=rng.dirichlet([2, 2, 2], size=(2, 25)),
            features=tuple(rng.standard_normal((2 * len(v.targets), features)) for v in VIEWS),
            pictures=tuple(rng.standard_normal((len(v.targets), 7)) for v in VIEWS),
        )

    usual = Usual.of([impression() for _ in range(studies)])
    inside = {name: rng.standard_normal(studies) for name in JUDGED}
    return DoubtRecord.of(usual, inside, weights_sha256=weights)


def test_a_study_at_the_mean_is_below_all_and_noise_is_above(record):
    certain = np.zeros((2, 25, 3))
    certain[..., 0] = 1
    at_mean = Impression(
        samples=certain,
        features=tuple(np.tile(f[0], (2, 1)) for f in record.usual.features),
        pictures=tuple(p[:1] for p in record.usual.pictures),
    )
    judged = record.judged(at_mean)
    assert {judged[name]["usual_below"] for name in JUDGED} == {0.0}
    assert judged["entropy"]["value"] == judged["information"]["value"] == 0
    assert (
        judged["pictures"]["value"]
        == judged["features"]["value"]
        == pytest.approx(np.log(1e-9), abs=1e-3)
    )
    assert warnings_of(judged, record) == ()
    crops, _ = study_crops_of(make_study(5), landmarks())
    chance = torch.Generator().manual_seed(0)
    noise = crops._replace(
        sagittal=torch.rand(crops.sagittal.shape, generator=chance).to(crops.sagittal),
        axial=torch.rand(crops.axial.shape, generator=chance).to(crops.axial),
    )
    of_noise = record.judged(impression_of([BrightnessGrader()], noise, temperature=FLAT, draws=1))
    assert of_noise["pictures"]["value"] > of_noise["pictures"]["threshold"]
    assert of_noise["overall"]["usual_below"] == 1.0


def test_thresholds_are_the_largest_of_few_studies(record):
    for name in JUDGED:
        assert record.thresholds[name].value == record.inside[name].max()
        assert record.thresholds[name].refused == pytest.approx(1 / 8)


def test_a_result_tells_its_doubts_and_they_are_those_of_its_crops(predictor_of, record, plain):
    graded = predictor_of().predict(plain)
    told, expected = graded.to_dict()["doubt"], record.judged(seen(plain))
    assert set(told) == set(JUDGED)
    for name in JUDGED:
        assert told[name] == pytest.approx(expected[name], abs=1e-4)
    assert told["overall"]["threshold"] == record.thresholds["overall"].value
    assert not [w for w in graded.to_dict()["warnings"] if "usual studies" in w]
    assert strangeness(graded.grades)[0]["exceeded"] == ""


def test_grades_are_the_same_with_and_without_doubts(predictor_of):
    records = (made_up_record(features=1), None)
    graded, without = (predictor_of(doubt=d).predict(make_study(3)).grades for d in records)
    assert np.array_equal(graded.probabilities, without.probabilities)
    assert "doubt" not in without.provenance
    assert strangeness(without) == []


def test_a_strange_series_is_warned_of_in_every_output(predictor_of, tmp_path):
    graded = predictor_of().predict(strange_study())
    data = graded.to_dict()
    assert data["status"] == "graded"
    (said,) = [w for w in data["warnings"] if w.startswith("The pictures look unlike those")]
    judged = data["doubt"]["pictures"]
    assert judged["value"] > judged["threshold"]
    assert f"pictures {judged['value']:.3g}, threshold {judged['threshold']:.3g}" in said
    assert "100% of 7 usual studies lie below" in said
    assert said in data["notices"]
    page = graded.report_html()
    assert "The pictures look unlike those the model was trained on" in page
    assert "<td>yes</td>" in page
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "result.json").write_text(json.dumps(data))
    write_tables(tmp_path, [], [], card=tiny_card(grid=None))
    assert "The pictures look unlike" in (tmp_path / "summary.csv").read_text()


def test_strictly_a_strange_study_is_an_error(predictor_of, plain):
    with pytest.raises(InputError, match="unlike those that the model was measured on") as raised:
        predictor_of().predict(strange_study(), Options(strict=True))
    assert raised.value.code == "VS-INP-070"
    assert predictor_of().predict(plain, Options(strict=True)).status == "graded"


def test_a_mirrored_patient_is_as_strange(predictor_of):
    study = strange_study()
    as_is = predictor_of().predict(study).to_dict()["doubt"]
    other = predictor_of(reflected(landmarks())).predict(mirrored(study)).to_dict()["doubt"]
    for name in JUDGED:
        assert other[name] == pytest.approx(as_is[name], abs=1e-5)


def test_a_series_that_is_missing_is_no_reason_to_doubt_the_pictures(predictor_of, plain):
    kept = [s for s in plain.series if s.protocol.value == "sagittal_t2"]
    data = predictor_of().predict(dataclasses.replace(plain, series=kept)).to_dict()
    assert data["status"] == "partial"
    for name in ("features", "pictures"):
        assert data["doubt"][name]["value"] <= data["doubt"][name]["threshold"]


def test_what_is_not_known_is_null_and_no_reason_for_a_warning(record):
    nothing = Impression(
        samples=np.full((2, 25, 3), 1 / 3),
        features=tuple(np.full((2, 1), np.nan) for _ in VIEWS),
        pictures=tuple(np.full((1, 7), np.nan) for _ in VIEWS),
    )
    judged = record.judged(nothing)
    assert np.isnan(judged["pictures"]["value"])
    assert np.isnan(judged["pictures"]["usual_below"])
    assert np.isfinite(judged["overall"]["value"])
    assert not [w for w in warnings_of(judged, record) if "pictures look" in w]


def test_a_record_survives_json(record, plain):
    back = DoubtRecord.from_dict(json.loads(json.dumps(record.to_dict())))
    impression = seen(plain)
    for name in JUDGED:
        assert back.judged(impression)[name] == pytest.approx(
            record.judged(impression)[name], rel=1e-3, abs=1e-3
        )


def hostile(change):
    data = json.loads(json.dumps(made_up_record().to_dict()))
    change(data)
    return data


HOSTILE = {
    "another schema": lambda d: d.update(schema=2),
    "no usual": lambda d: d.pop("usual"),
    "a list": lambda d: d.update(inside=[1, 2]),
    "nan": lambda d: d["inside"].update(entropy=[float("nan")] * 9),
    "infinite": lambda d: d["usual"]["scales"].update(entropy=[0, float("inf")]),
    "text": lambda d: d["inside"].update(entropy=["1"] * 9),
    "true": lambda d: d["inside"].update(entropy=[True] * 9),
    "huge": lambda d: d["inside"].update(entropy=[10**400] * 9),
    "too few": lambda d: d["inside"].update(entropy=[0.0]),
    "another threshold": lambda d: d["thresholds"]["overall"].update(value=1e6),
    "ragged": lambda d: d["usual"]["views"][VIEWS[0].name].update(features=[[1, 2], [1]]),
    "no spread": lambda d: d["usual"]["views"][VIEWS[0].name].update(features=[[0] * 4] * 2),
    "not square": lambda d: d["usual"]["views"][VIEWS[0].name].update(pictures=[[0] * 7] * 3),
    "falling scale": lambda d: d["usual"]["scales"].update(pictures=[2, 1]),
    "other statistics": lambda d: d["usual"].update(statistics=["a"] * 7),
    "no weights": lambda d: d.update(weights_sha256=3),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_record_is_refused(change):
    with pytest.raises(ConfigurationError) as raised:
        DoubtRecord.from_dict(hostile(change))
    assert raised.value.code in {"VS-CFG-125", "VS-CFG-173"}


@pytest.mark.parametrize("data", [b"\x80\x04", b"[]", b"[" * 100_000, b" " * (2**20 + 1)])
def test_a_file_that_is_no_record_is_refused(tmp_path, data):
    (tmp_path / "d.json").write_bytes(data)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        read_doubt(tmp_path / "d.json")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_doubt(tmp_path / "absent.json")


@pytest.fixture(scope="module")
def grader():
    torch.manual_seed(0)
    return LevelGrader(**SMALL).eval()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, grader):
    """A bundle to copy."""
    return write_bundle(
        tmp_path_factory.mktemp("bundles") / "b",
        [grader.state_dict()],
        recipe=grader.recipe,
        card=tiny_card(grid=None),
        localizer=tiny_localizer(),
    )


@pytest.fixture
def bundle(tmp_path, whole):
    return shutil.copytree(whole, tmp_path / "b")


@pytest.fixture
def fitting(whole, grader):
    """From changes to a record of the bundle's model."""
    weights = json.loads((whole / "card.json").read_text())["files"]["weights.safetensors"]
    known = {"features": grader.trunk.num_features, "weights": weights["sha256"]}
    return lambda **changes: made_up_record(**{**known, **changes})


def test_a_bundle_carries_its_doubts_and_keeps_them(tmp_path, bundle, fitting, capsys):
    record = fitting()
    (tmp_path / "d.json").write_text(json.dumps(record.to_dict()))
    named = ["--out", str(bundle), "--overwrite", "--full-precision"]
    assert main(["bundle", "--doubt", str(tmp_path / "d.json"), *named]) == 0
    card = json.loads((bundle / "card.json").read_text())
    assert len(card["files"]["doubt.json"]["sha256"]) == 64
    assert load_bundle(bundle).doubt.to_dict() == record.to_dict()
    (tmp_path / "m.json").write_text('{"score": 0.5, "prior": 0.9, "studies": 100}')
    assert main(["bundle", "--metrics", str(tmp_path / "m.json"), *named]) == 0
    assert load_bundle(bundle).doubt.to_dict() == record.to_dict()
    (tmp_path / "d.json").write_text("{}")
    assert main(["bundle", "--doubt", str(tmp_path / "d.json"), *named]) == 2
    assert "VS-CFG-173" in capsys.readouterr().err
    assert (bundle / "doubt.json").is_file()


@pytest.mark.parametrize("change", [{"weights": "0" * 64}, {"features": 3}], ids=str)
def test_the_doubts_of_another_model_are_refused(bundle, fitting, change):
    with pytest.raises(ConfigurationError, match=r"other (weights|features)"):
        add_doubt(bundle, fitting(**change))
    assert not (bundle / "doubt.json").exists()


@pytest.mark.parametrize("name", ["damaged", "hostile", "of another"])
def test_a_bundle_with_bad_doubts_is_not_loaded(bundle, fitting, name):
    bad = fitting(features=3).to_dict() if name == "of another" else {"schema": 1}
    (bundle / "doubt.json").write_text(json.dumps(bad))
    admit(bundle, "doubt.json")
    if name == "damaged":
        (bundle / "doubt.json").write_text(json.dumps(fitting().to_dict()))
    with pytest.raises(WeightsError, match=r"doubt\.json"):
        load_bundle(bundle)


def test_a_model_of_studies_has_no_doubts(tmp_path):
    made = tiny_grader()
    place = write_bundle(tmp_path / "b", [made.state_dict()], recipe=made.recipe, card=tiny_card())
    with pytest.raises(ConfigurationError, match="sees whole studies"):
        add_doubt(place, made_up_record())
