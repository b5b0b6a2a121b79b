"""Cart, checkout, order, payment."""

from checkout.carts import Carts
from checkout.checkouts import Checkouts
from checkout.orders import Orders
from checkout.payments import Payments
from checkout.stripe_gateway import StripeGateway

__all__ = ["Carts", "Checkouts", "Orders", "Payments", "StripeGateway"]
