"""LangChain's own standard tests of a chat model, on its client for OpenAI's API.

LangChain's unit tests are not run: they look at the client only, and reach no server.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("langchain_tests", reason="LangChain is installed by `make clients`")

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from tests.clients.service import GENERAL, Service

_IN_ITS_WORDS = {
    "What is the value of magic_function(3)? Use the tool.": 'call magic_function {"input": 3}',
    "Create a customer named '你好啊集团' (Hello Group) - a Chinese technology company": (
        'call unicode_customer {"customer_name": "你好啊集团", "description": "a company"}'
    ),
    "Create a customer named 'こんにちは株式会社' (Hello Corporation) - a Japanese company": (
        'call unicode_customer {"customer_name": "こんにちは株式会社", "description": "a company"}'
    ),
    "Tell me a joke about cats. Return the result as a JSON with 'setup' and 'punchline' keys. "
    "Return nothing other than JSON.": (
        '{"properties": {"setup": {}, "punchline": {}}, "required": ["setup", "punchline"]}'
    ),
}


class Interpreting(ChatOpenAI):
    """Says what the tests ask in the words of the simulated bot, which understands no English."""

    def _get_request_payload(self, *given: Any, **options: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(*given, **options)
        for message in payload["messages"]:
            if isinstance(text := message.get("content"), str):
                message["content"] = _IN_ITS_WORDS.get(text, text)
        return payload


# The client keeps its connections for as long as the process lives, so the loop must live on.
@pytest.mark.asyncio(loop_scope="class")
# LangChain warns of what its own tests do.
@pytest.mark.filterwarnings("ignore::UserWarning")
class TestLangChain(ChatModelIntegrationTests):
    service: Service

    @pytest.fixture(autouse=True)
    def _at_the_service(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.service = service
        # Some tests fetch a file to send from the web; no test of ours leaves the machine.
        files = SimpleNamespace(content=b"\x89PNG\r\n\x1a\n" + bytes(40))
        monkeypatch.setattr(httpx, "get", lambda *_, **__: files)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Interpreting

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": GENERAL.display_name,
            "base_url": self.service.base_url,
            "api_key": self.service.key,
            "stream_usage": True,
            "max_retries": 0,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "Echo"

    @property
    def supports_model_override(self) -> bool:
        return True
