"""What every agent promises, and what this one does."""

import json
from pathlib import Path

import pytest
from research_agent import Research

from vagus.agents.conformance import AgentConformance
from vagus.protocol import Refuse

MANIFEST = Path(__file__).parents[1] / "manifest.json"


@pytest.fixture
def agent():
    return Research()


class TestConformance(AgentConformance):
    """The kit: manifest, hostile payloads, an answer of the local model."""

    payload = b'{"question": "What is a bee?"}'


def test_it_refuses_an_empty_question(agent):
    with pytest.raises(Refuse, match="question"):
        agent.decode(b'{"question": ""}')


def test_its_manifest_is_the_one_that_is_published(agent):
    published = json.loads(MANIFEST.read_text())
    mend = "vagus agents manifest research@1 > manifest.json"
    assert agent.manifest.model_dump(mode="json") == published, mend
