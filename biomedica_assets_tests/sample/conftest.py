import pytest

from biomedica_assets import sample


@pytest.fixture(scope="session")
def release_root(tmp_path_factory):
    """The first state of the sample in the cloud layout, written once (about 7 s of CPU)."""
    root = tmp_path_factory.mktemp("sample")
    sample.ensure(str(root))
    return root
