"""The process that answers: HTTP, WebSockets, life and death."""
