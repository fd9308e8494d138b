"""The same bridge as a Pipecat pipeline: its FastAPI transport, its Twilio serializer, and one processor in between.

As lean as Pipecat is without changing it: no voice activity detection, no RTVI, no turn tracking, no resampling (every
rate is 8 kHz; its serializer makes linear audio of μ-law all the same), no debug log, and frames of 20 ms where its
default is 40. Run by the interpreter that has the package `pipecat-ai[websocket]`.
"""

import asyncio
import audioop
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
import websockets
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import CancelFrame, EndFrame, Frame, InputAudioRawFrame, OutputAudioRawFrame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from bench.bridges import options
from bench.bridges.settings import SETTINGS
from bench.bridges.textbook import answer, started

RATE = 8000


class Agent(FrameProcessor):
    """Carries audio to the speech service and back."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service
        self._speech: websockets.ClientConnection | None = None
        self._hearing: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            if self._speech is not None:
                await self._speech.send(audioop.lin2ulaw(frame.audio, 2))
            return
        if isinstance(frame, StartFrame):
            await self._open()
        elif isinstance(frame, EndFrame | CancelFrame):
            await self._close()
        await self.push_frame(frame, direction)

    async def _open(self) -> None:
        speech = await websockets.connect(self._service)
        await speech.recv()  # Welcome
        await speech.send(SETTINGS.decode())
        self._speech = speech
        self._hearing = self.create_task(self._hear(speech))

    async def _hear(self, speech: websockets.ClientConnection) -> None:
        async for message in speech:
            if isinstance(message, bytes):
                audio = audioop.ulaw2lin(message, 2)
                await self.push_frame(OutputAudioRawFrame(audio, sample_rate=RATE, num_channels=1))
                continue
            event = json.loads(message)
            if event["type"] == "UserStartedSpeaking":
                await self.broadcast_interruption()
            elif event["type"] == "FunctionCallRequest":
                for call in event["functions"]:
                    await speech.send(json.dumps(answer(call)))

    async def _close(self) -> None:
        if self._hearing is not None:
            await self.cancel_task(self._hearing)
            self._hearing = None
        if self._speech is not None:
            await self._speech.close()
            self._speech = None


async def handle_call(websocket: WebSocket) -> None:
    await websocket.accept()
    serializer = TwilioFrameSerializer(
        await started(websocket), params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=2,
            audio_out_end_silence_secs=0,
            serializer=serializer,
        ),
    )
    worker = PipelineWorker(
        Pipeline([transport.input(), Agent(websocket.app.state.service), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        idle_timeout_secs=None,
        enable_turn_tracking=False,
        enable_rtvi=False,
    )

    @transport.event_handler("on_client_disconnected")
    async def gone(transport: FastAPIWebsocketTransport, websocket: WebSocket) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    print("ready", flush=True)
    yield


if __name__ == "__main__":
    told = options(__doc__)
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    app = FastAPI(lifespan=lifespan)
    app.state.service = told.service
    app.add_api_websocket_route("/{path:path}", handle_call)
    uvicorn.run(app, port=told.port)
