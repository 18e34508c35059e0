"""MQTT 5: a client that never blocks, and a small broker for demos."""

from vagus.compute.mqtt.broker import Broker
from vagus.compute.mqtt.client import MqttClient
from vagus.compute.mqtt.config import MqttConfig
from vagus.compute.mqtt.traffic import Message, Traffic

__all__ = ["Broker", "Message", "MqttClient", "MqttConfig", "Traffic"]
