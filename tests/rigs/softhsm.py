"""A PKCS#11 token without a device: SoftHSM2, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pkcs11

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


class SoftHsmMissingError(Exception):
    """Nothing here can play a token."""


@dataclass(frozen=True)
class SoftHsm:
    """One token for the whole session: its module reads where tokens lie when it is loaded, once for the process.

    Attributes:
        module: The PKCS#11 module.
        token: Label of the token.
        pin: Of its user.
    """

    module: str
    token: str
    pin: str

    @classmethod
    def start(cls, folder: Path) -> SoftHsm:
        """Make the token.

        Raises:
            SoftHsmMissingError: SoftHSM2 is not installed.
        """
        module = next((each for each in MODULES if Path(each).exists()), None)
        if module is None or shutil.which("softhsm2-util") is None:
            raise SoftHsmMissingError("Debian's softhsm2")
        (folder / "tokens").mkdir()
        config = folder / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(config)
        made = cls(module=module, token="exchange", pin="567890")
        made._tool("--init-token", "--free", "--label", made.token, "--so-pin", "123456", "--pin", made.pin)
        return made

    def take(self, key: Path, label: str, key_id: str) -> None:
        """Put a private key from a PEM file into the token."""
        self._tool("--import", str(key), "--token", self.token, "--label", label, "--id", key_id, "--pin", self.pin)

    def drop(self, label: str) -> None:
        """Destroy every object of a label."""
        token = pkcs11.lib(self.module).get_token(token_label=self.token)
        try:
            opened = token.open(user_pin=self.pin, rw=True)
        except pkcs11.UserAlreadyLoggedIn:  # by another test of this process
            opened = token.open(rw=True)
        with opened as session:
            for found in list(session.get_objects({pkcs11.Attribute.LABEL: label})):
                found.destroy()

    def _tool(self, *arguments: str) -> None:
        tool = shutil.which("softhsm2-util")
        assert tool is not None
        subprocess.run([tool, *arguments], check=True, capture_output=True)
