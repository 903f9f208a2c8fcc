"""HTTP below and around the routes: the protocol on a connection, and what every request passes through."""
