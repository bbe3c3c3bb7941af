"""A sample landing zone: a small shop that never was, delivered as Airbyte would deliver it."""

from lotus_lake.sample.bad_files import add_bad_files
from lotus_lake.sample.delivery import Progress, generate
from lotus_lake.sample.landing import DeliveredFile, Delivery, LandingError

__all__ = ["DeliveredFile", "Delivery", "LandingError", "Progress", "add_bad_files", "generate"]
