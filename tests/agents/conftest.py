from support.model import local_model

__all__ = ["local_model"]
