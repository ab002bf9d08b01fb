"""A file as a download, open before anything is said of it.

Owns: the answer that streams an open file. Must not know: what is in it.
"""

import os
from typing import BinaryIO

from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send


class OpenFileResponse(FileResponse):
    """The whole of an open file, or the ranges asked for, whatever becomes of its name; closed at the end.

    Starlette's own answer opens the file by its name, after length and status have been sent.
    """

    def __init__(self, file: BinaryIO, name: str, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(
            f"/dev/fd/{file.fileno()}",
            media_type=media_type,
            filename=name,
            headers=headers,
            stat_result=os.fstat(file.fileno()),
        )
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)
