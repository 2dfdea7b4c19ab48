"""Ready-made calls of the endpoint; the key comes from an environment variable, so that it is in no file."""

from collections.abc import Mapping
from typing import Final

CALLERS_KEY_VARIABLE: Final = "INFERENCE_API_KEY"

_CURL: Final = """\
curl {endpoint}/v1/chat/completions \\
  -H "Authorization: Bearer ${variable}" \\
  -H "Content-Type: application/json" \\
  -d '{{"messages": [{{"role": "user", "content": "What is the capital of Japan?"}}]}}'
"""

_PYTHON: Final = """\
# pip install openai
import os

from openai import OpenAI

# Sends the header "Authorization: Bearer …"; AI Toolkit: Copy inference API key.
client = OpenAI(base_url="{endpoint}/v1", api_key=os.environ["{variable}"])
model = client.models.list().data[0].id
answer = client.chat.completions.create(
    model=model,
    messages=[{{"role": "user", "content": "What is the capital of Japan?"}}],
)
print(answer.choices[0].message.content)
"""

_JAVASCRIPT: Final = """\
// Node 20 or newer. AI Toolkit: Copy inference API key.
const response = await fetch("{endpoint}/v1/chat/completions", {{
  method: "POST",
  headers: {{
    "Authorization": `Bearer ${{process.env.{variable}}}`,
    "Content-Type": "application/json",
  }},
  body: JSON.stringify({{ messages: [{{ role: "user", content: "What is the capital of Japan?" }}] }}),
}});
const answer = await response.json();
console.log(answer.choices[0].message.content);
"""

EXAMPLES: Final[Mapping[str, str]] = {"curl": _CURL, "Python": _PYTHON, "JavaScript": _JAVASCRIPT}


def example(language: str, endpoint: str) -> str:
    """The call in one of EXAMPLES' languages, whole but for the key."""
    return EXAMPLES[language].format(endpoint=endpoint, variable=CALLERS_KEY_VARIABLE)
