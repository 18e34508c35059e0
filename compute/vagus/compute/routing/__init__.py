"""The router: which backend answers a call, when another is asked, and when one is left alone."""

from vagus.compute.routing.candidates import Rule, Sifted, sift
from vagus.compute.routing.measure import Estimate, Measurements
from vagus.compute.routing.router import Router
from vagus.compute.routing.score import Parts, score
from vagus.compute.routing.served import Served, Try
from vagus.compute.routing.spend import Spend
from vagus.compute.routing.tuning import Tuning, Weights

__all__ = [
    "Estimate",
    "Measurements",
    "Parts",
    "Router",
    "Rule",
    "Served",
    "Sifted",
    "Spend",
    "Try",
    "Tuning",
    "Weights",
    "score",
    "sift",
]
