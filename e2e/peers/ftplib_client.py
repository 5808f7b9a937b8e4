"""A transfer with ftplib: OP HOST PORT USER PASSWORD TLS CA MODE BASE LOCAL REMOTE."""
import ftplib
import os
import posixpath
import ssl
import sys

op, host, port, user, password, tls, ca, mode, base, local, remote = sys.argv[1:]


class Implicit(ftplib.FTP_TLS):
    """TLS from the first byte."""

    _sock = None

    @property
    def sock(self):
        return self._sock

    @sock.setter
    def sock(self, value):
        if value is not None and not isinstance(value, ssl.SSLSocket):
            value = self.context.wrap_socket(value, server_hostname=self.host)
        self._sock = value


if tls == "off":
    ftp = ftplib.FTP(timeout=20)
else:
    context = ssl.create_default_context(cafile=ca or None)
    if not ca:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    ftp = (Implicit if tls == "implicit" else ftplib.FTP_TLS)(timeout=20, context=context)
ftp.set_debuglevel(1)
ftp.connect(host, int(port))
ftp.login(user, password)
if tls != "off":
    ftp.prot_p()
ftp.set_pasv(mode == "passive")
if base:
    ftp.cwd(base)


def get(name, target):
    with open(target, "wb") as f:
        ftp.retrbinary("RETR " + name, f.write, 1 << 16)


def put(source, name):
    with open(source, "rb") as f:
        ftp.storbinary("STOR " + name, f, 1 << 16)


def entries(folder):
    """Names below a folder and whether each is a folder; MLSD, or LIST where the server (vsftpd) has no MLSD."""
    try:
        return [(n, f["type"] == "dir") for n, f in ftp.mlsd(folder) if f["type"] in ("dir", "file")]
    except ftplib.error_perm:
        lines = []
        ftp.retrlines("LIST " + folder, lines.append)
        return [(line.split(None, 8)[8], line[0] == "d") for line in lines if line[0] in "d-"]


def get_folder(folder, target):
    os.mkdir(target)
    for name, is_folder in entries(folder):
        (get_folder if is_folder else get)(posixpath.join(folder, name), os.path.join(target, name))


def put_folder(source, name):
    ftp.mkd(name)
    for entry in os.scandir(source):
        (put_folder if entry.is_dir() else put)(entry.path, posixpath.join(name, entry.name))


if op == "get":
    get(remote, os.path.join(local, posixpath.basename(remote)))
elif op == "get-folder":
    get_folder(remote, os.path.join(local, posixpath.basename(remote)))
elif op == "put":
    put(local, os.path.basename(local))
else:
    put_folder(local, os.path.basename(local))
ftp.quit()
