"""A small HTTP/1.1 client for engines: kept-alive connections, streamed answers, no tasks."""
