"""The contracts between services as documents: AsyncAPI, JSON Schemas, and the guard against breaking them."""
