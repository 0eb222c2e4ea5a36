"""`volspine phantom`: a cohort, or what one is."""

import json

import pytest

from volspine.cli import main


def test_the_card_prints_prevalence_correlation_and_ceilings(capsys):
    assert main(["phantom", "--card"]) == 0
    text = capsys.readouterr().out
    assert "Cohort rsna_like, reader noise single_reader" in text
    assert "75.1/12.0/12.9" in text  # canal at L4/L5, as published
    assert "Research use only" in text
    ceiling = next(
        line for line in text.splitlines() if line.startswith("canal  ") and "0.9" in line
    )
    assert float(ceiling.split()[1]) == pytest.approx(0.943, abs=0.003)


def test_the_card_of_a_probe_has_no_reader_noise(capsys):
    assert main(["phantom", "--card", "--cohort", "probe"]) == 0
    assert "Cohort probe, reader noise none" in capsys.readouterr().out


def test_out_and_studies_are_needed_without_the_card(capsys):
    assert main(["phantom"]) == 2
    assert "VS-CFG-040" in capsys.readouterr().err


def test_an_unknown_cohort_is_wrong_usage(capsys):
    assert main(["phantom", "x", "--studies", "1", "--cohort", "mars"]) == 2
    assert "mars" in capsys.readouterr().err


def test_the_help_names_every_option_of_the_contract(capsys):
    assert main(["phantom", "--help"]) == 0
    text = capsys.readouterr().out
    for option in ("--studies", "--cohort", "--noise", "--header", "--seed", "--workers",
                   "--label-maps", "--resume", "--card"):  # fmt: skip
        assert option in text


def test_an_existing_cohort_is_refused_and_resume_is_offered(tmp_path, capsys):
    (tmp_path / "train_images").mkdir()
    assert main(["phantom", str(tmp_path), "--studies", "1"]) == 4
    assert "--resume" in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_size_study_is_written(tmp_path, capsys):
    out = tmp_path / "root"
    assert (
        main(["phantom", str(out), "--studies", "1", "--cohort", "clean", "--header", "full"]) == 0
    )
    assert "1 synthetic studies" in capsys.readouterr().out
    truth = json.loads(next((out / "truth").iterdir()).read_text())
    assert truth["spec"]["header"] == "full"
    assert len(list(out.glob("train_images/*/*/*.dcm"))) > 40
