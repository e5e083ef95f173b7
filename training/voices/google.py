"""The google engine: Google Cloud Text-to-Speech, the paper's. Rate, pitch and gain are the service's own.

Needs the extra `google` and Google's application default credentials. SAYSEE_GOOGLE_ENDPOINT (host:port)
names another server that speaks the same gRPC, without encryption or credentials: a proxy, or a stand-in for
tests. The service renews its voices, so clips are the same again only as long as Google keeps them so.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import soundfile

from training.voices.engine import EngineDown, EngineError, VoiceError

if TYPE_CHECKING:
    from google.cloud.texttospeech import TextToSpeechClient

# The six that Conceptual Spoken Captions is spoken with.
WAVENET_VOICES = tuple(f"en-US-Wavenet-{letter}" for letter in "ABCDEF")
SAMPLE_RATE_HZ = 16000
ENDPOINT = "SAYSEE_GOOGLE_ENDPOINT"

_CALL_SECONDS = 60.0
_START_SECONDS = 20.0  # a wrong address or no network is told of soon, before anything has begun

_Answer = TypeVar("_Answer")


class GoogleEngine:
    """The `google` engine: every voice the service has, at 16 kHz.

    A call that meets a quota or a fault of the network is tried again, waiting up to `first_wait_seconds`,
    then up to twice as long each time, for `patience_seconds` in all.
    """

    name = "google"

    def __init__(self, patience_seconds: float = 300.0, first_wait_seconds: float = 1.0) -> None:
        self._patience_seconds = patience_seconds
        self._first_wait_seconds = first_wait_seconds
        self._voices: tuple[str, ...] = ()
        self._client = _client()

    def voices(self) -> tuple[str, ...]:
        if not self._voices:
            listed = self._asked(self._client.list_voices, {}, min(_START_SECONDS, self._patience_seconds))
            self._voices = tuple(sorted(voice.name for voice in listed.voices))
        return self._voices

    def synthesize(
        self, text: str, voice: str, rate: float, pitch_semitones: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        return self.synthesize_at_gain(text, voice, rate, pitch_semitones, 0.0)

    def synthesize_at_gain(
        self, text: str, voice: str, rate: float, pitch_semitones: float, gain_db: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        if voice not in self.voices():
            raise VoiceError(
                f'google has no voice "{voice}"; it has {len(self.voices())}, as {self.voices()[0]}.'
            )
        request = {
            "input": {"text": text},
            "voice": {"name": voice, "language_code": "-".join(voice.split("-")[:2])},
            "audio_config": {
                "audio_encoding": "LINEAR16",
                "sample_rate_hertz": SAMPLE_RATE_HZ,
                "speaking_rate": rate,
                "pitch": pitch_semitones,
                "volume_gain_db": gain_db,
            },
        }
        answer = self._asked(self._client.synthesize_speech, request, self._patience_seconds)
        try:
            samples, rate_hz = soundfile.read(io.BytesIO(answer.audio_content), dtype="int16")
        except soundfile.LibsndfileError as error:
            raise EngineError(f"Google's answer to the text {text!r} is no recording.") from error
        return samples, int(rate_hz)

    def _asked(
        self, call: Callable[..., _Answer], request: dict[str, Any], patience_seconds: float
    ) -> _Answer:
        """The service's answer; each of its faults in one sentence."""
        from google.api_core import exceptions as faults
        from google.api_core.retry import Retry, if_exception_type
        from google.auth.exceptions import GoogleAuthError

        passing = (
            faults.ResourceExhausted,
            faults.ServiceUnavailable,
            faults.InternalServerError,
            faults.GatewayTimeout,
        )
        retry = Retry(
            if_exception_type(*passing),
            initial=self._first_wait_seconds,
            maximum=32.0,
            multiplier=2.0,
            timeout=patience_seconds,
        )
        try:
            return call(request=request, retry=retry, timeout=_CALL_SECONDS)
        except (GoogleAuthError, faults.Unauthenticated, faults.PermissionDenied) as error:
            raise EngineDown(
                f"Google did not take the credentials ({_told(error)}); sign in with `gcloud auth "
                "application-default login`, and see that the project may use Text-to-Speech."
            ) from error
        except (faults.RetryError, *passing) as error:
            cause = error.cause if isinstance(error, faults.RetryError) else error
            if isinstance(cause, faults.ResourceExhausted):
                raise EngineDown(
                    f"Google's quota is used up ({_told(cause)}) and {patience_seconds:.0f} s of waiting did "
                    "not help; give the same command again later, with fewer --workers, or ask for more."
                ) from error
            raise EngineDown(
                f"Google cannot be reached or does not answer ({_told(cause)}); look at the network and give "
                "the same command again, which goes on from where it stopped."
            ) from error
        except faults.GoogleAPICallError as error:
            raise EngineError(f"Google did not take the request ({_told(error)}).") from error


def _told(error: object) -> str:
    """The fault as Google words it, on one line without its own full stop."""
    message = getattr(error, "message", None) or str(error)
    return " ".join(str(message).split()).rstrip(".")


def _client() -> TextToSpeechClient:
    try:
        import grpc  # type: ignore[import-untyped]  # ships no annotations
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud import texttospeech
        from google.cloud.texttospeech_v1.services.text_to_speech.transports import TextToSpeechGrpcTransport
    except ImportError as error:
        raise EngineError(
            "The google engine needs the package google-cloud-texttospeech, which is not installed; "
            "run `pip install 'saysee[google]'`."
        ) from error
    if endpoint := os.environ.get(ENDPOINT):
        transport = TextToSpeechGrpcTransport(channel=grpc.insecure_channel(endpoint))
        return texttospeech.TextToSpeechClient(transport=transport)
    try:
        return texttospeech.TextToSpeechClient()
    except DefaultCredentialsError as error:
        raise EngineDown(
            "The google engine needs Google's credentials and there are none: sign in with `gcloud auth "
            "application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS."
        ) from error
