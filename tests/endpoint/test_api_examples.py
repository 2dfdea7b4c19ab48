import subprocess

import pytest

from ai_toolkit.endpoint.api_examples import CALLERS_KEY_VARIABLE, EXAMPLES, example

ENDPOINT = "https://app.example"


@pytest.mark.parametrize("language", EXAMPLES)
def test_an_example_has_the_whole_address_and_names_the_key(language):
    """The URL, the header's form and where the key comes from; never the key itself."""
    text = example(language, ENDPOINT)

    assert f"{ENDPOINT}/v1" in text
    assert CALLERS_KEY_VARIABLE in text
    assert "Bearer" in text


def test_the_examples_are_programs():
    """Each is syntactically whole."""
    compile(example("Python", ENDPOINT), "example", "exec")

    assert subprocess.run(["bash", "-n"], input=example("curl", ENDPOINT), text=True, check=False).returncode == 0
