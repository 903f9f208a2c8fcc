"""One connection and one request: the protocol below the routes, and what surrounds every route."""
