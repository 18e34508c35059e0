"""The edge: a GPU owner's worker behind any NAT, and the backend that asks it, over MQTT 5.

`frames` has what they send to each other, `bodies` what is in it, `worker` one side, `backend` the other.
"""
