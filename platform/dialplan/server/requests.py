"""uvicorn's HTTP. It refuses a request whose body is none while the application answers it: here one of them speaks."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Requests(H11Protocol):
    """For uvicorn's `http=`. It refuses a head of more than 64 KB; httptools would keep any in memory."""

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None:
            self.cycle.disconnected = True  # What the application says from here on, nobody hears.
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:  # It has begun to say it.
            self.transport.close()
