"""EVM chains (`eip155`): the adapter, its codecs, its keys and a development node."""
