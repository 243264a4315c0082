"""Can the Hugging Face Hub be reached? Asked before its client is loaded."""

import os
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies


def do_without_an_unreachable_hub() -> None:
    """Without a network, do not let the Hub's client try each file again and again for a minute and a half."""
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    if getproxies() or host is None:
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
