"""LangChain over a run's context: plain LangChain with vagus' routing, budget and evidence."""

from vagus.agents.langchain.chat_model import ChatVagus

__all__ = ["ChatVagus"]
