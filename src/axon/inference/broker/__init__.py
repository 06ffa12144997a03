"""Jobs and their output through Valkey Streams, between gateways and workers of their own."""
