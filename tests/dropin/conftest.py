import pytest

from .models import SmallModel, write_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return write_model(tmp_path_factory.mktemp("allennlp_model"))
