"""A pyftpdlib server: HOST PORT ROOT USER PASSWORD TLS CERT KEY PASSIVE_MIN PASSIVE_MAX."""
import logging
import sys
import warnings

warnings.simplefilter("ignore")

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

host, port, root, user, password, tls, cert, key, first, last, sessions = sys.argv[1:]
logging.basicConfig(level=logging.INFO, stream=sys.stderr)


class Implicit(TLS_FTPHandler):
    """TLS from the first byte; data connections are protected without PROT."""

    def handle(self):
        self.secure_connection(self.ssl_context)

    def handle_ssl_established(self):
        self._prot = True
        super().handle()

    def ftp_AUTH(self, arg):
        self.respond("503 TLS already.")


authorizer = DummyAuthorizer()
if user == "anonymous":
    authorizer.add_anonymous(root, perm="elradfmwMT")
else:
    authorizer.add_user(user, password, root, perm="elradfmwMT")

handler = {"off": FTPHandler, "implicit": Implicit}.get(tls, TLS_FTPHandler)
handler.authorizer = authorizer
if tls != "off":
    handler.certfile, handler.keyfile = cert, key
    # Without an id OpenSSL refuses a client that resumes the control connection's session on a data connection.
    handler.ssl_context = handler.get_ssl_context()
    handler.ssl_context.set_session_id(b"peer")
if tls in ("required", "implicit"):
    handler.tls_control_required = handler.tls_data_required = tls == "required"
if int(first):
    handler.passive_ports = range(int(first), int(last) + 1)
FTPServer.max_cons = int(sessions)
FTPServer((host, int(port)), handler).serve_forever()
