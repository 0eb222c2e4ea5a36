import pytest

from volspine.data.lightning import require_safe_version
from volspine.errors import ConfigurationError


@pytest.mark.parametrize("version", ["2.6.6", "2.6.10", "2.10.0", "3.0.0", "2.7"])
def test_a_safe_lightning_is_taken(version):
    require_safe_version(version)


@pytest.mark.parametrize("version", ["2.6.5", "2.5.9", "1.9.0", "2.6.5.post1"])
def test_a_lightning_that_runs_what_a_checkpoint_names_is_refused(version):
    with pytest.raises(ConfigurationError, match="runs code that a checkpoint names"):
        require_safe_version(version)


def test_the_installed_one_is_safe():
    require_safe_version()
