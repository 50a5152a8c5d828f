"""What all exchanges of a gateway work with."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config import GatewayConfig
from gateway.exchange.backpressure import Backpressure
from gateway.models import ModelTable
from gateway.queue.fleet import FleetView
from gateway.queue.hub import Hub


@dataclass
class Services:
    """One of each, made by the app."""

    config: GatewayConfig
    """The settings, which may become others at any time."""
    hub: Hub
    fleet: FleetView
    models: ModelTable
    backpressure: Backpressure
