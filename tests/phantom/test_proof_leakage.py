"""Proof that nothing but the picture tells: headers, counts and mean intensities stay at the prior.

On `probe` every grade is drawn on its own, so whatever a classifier finds beyond a third without
looking at places is a leak of the generator.
"""

import numpy as np
import pydicom
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from volspine.phantom.dicom import write_study
from volspine.phantom.spec import Cohort, Header, Size, Spec
from volspine.phantom.study import acquire_study

NUMBERS = (
    "Rows",
    "Columns",
    "SliceThickness",
    "SpacingBetweenSlices",
    "WindowCenter",
    "WindowWidth",
    "RepetitionTime",
    "EchoTime",
    "MagneticFieldStrength",
    "RescaleSlope",
    "BitsStored",
)
TEXTS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
         "PatientID", "ContentTime", "StudyDate", "SeriesDescription", "PatientAge")  # fmt: skip


pytestmark = pytest.mark.slow

STUDIES = 120


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Features from headers, features from intensities, and grades of small studies."""
    headers, intensities, grades = [], [], []
    folder = tmp_path_factory.mktemp("leakage")
    for index in range(STUDIES):
        spec = Spec(seed=21, index=index, cohort=Cohort.PROBE, header=Header.FULL, size=Size.SMALL)
        made = acquire_study(spec)
        write_study(made, folder / spec.study_id)
        headers.append(from_headers(sorted((folder / spec.study_id).iterdir())))
        intensities.append(from_intensities(made.pixels))
        grades.append(made.truth.grades)
    return np.array(headers), np.array(intensities), np.array(grades)


def from_headers(folders):
    """Numbers of the first slice of each series, its count of slices, and the digits of texts."""
    values = []
    for folder in folders[:3]:
        files = sorted(folder.iterdir())
        data = pydicom.dcmread(files[0], stop_before_pixels=True)
        values.append(len(files))
        values += [float(np.ravel(data.get(name, 0.0))[0]) for name in NUMBERS]
        values += [float(x) for x in data.PixelSpacing]
        values += [float(x) for x in data.ImagePositionPatient]
        for name in TEXTS:
            digits = [int(c) for c in str(data.get(name, "")) if c.isdigit()]
            values += [sum(digits), len(digits), digits[-1] if digits else 0]
    return values


def from_intensities(pixels):
    """Mean and spread of each series and of its middle slice."""
    values = []
    for series in pixels[:3]:
        image = series.astype(np.float64)
        middle = image[len(image) // 2]
        values += [image.mean(), image.std(), middle.mean(), middle.std()]
    return values


def accuracy(features, grades):
    """Cross-validated accuracy of a linear classifier, over all targets."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500))
    hits = [cross_val_predict(model, features, column, cv=4) == column for column in grades.T]
    return np.mean(hits)


def limit(grades):
    """A third, or the commonest grade where that is more, and three standard errors of chance.

    A study's 25 predictions share its features, so a study counts for no more than ten of them.
    """
    commonest = np.mean([np.bincount(column).max() / len(column) for column in grades.T])
    return commonest + 3 * np.sqrt(1 / 3 * 2 / 3 / (10 * len(grades)))


def test_headers_tell_nothing(tables):
    headers, _, grades = tables
    assert headers.std(axis=0).astype(bool).sum() > 10
    assert accuracy(headers, grades) < limit(grades)


def test_mean_and_spread_of_intensities_tell_nothing(tables):
    _, intensities, grades = tables
    assert accuracy(intensities, grades) < limit(grades)


def test_the_audit_finds_a_leak_that_is_there(tables):
    # A header that gives one condition away for every level must ring.
    headers, _, grades = tables
    rng = np.random.default_rng(0)
    leak = grades + 0.3 * rng.standard_normal(grades.shape)
    assert accuracy(np.concatenate([headers, leak], axis=1), grades) > limit(grades)
