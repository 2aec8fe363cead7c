"""A mail server for proofs that keeps what it is given, octet by octet, and answers recipients as told. Loopback only."""
import re, socket, threading, time

ALL = ("8BITMIME", "SMTPUTF8", "SIZE 104857600", "PIPELINING", "ENHANCEDSTATUSCODES", "DSN")


class Message:
    def __init__(self, mail, recipients, octets):
        self.mail, self.recipients, self.octets = mail, recipients, octets


class SMTPSink:
    """`answer(recipient, command)` may give a reply to RCPT; `before_end(message)` runs before the reply to the dot."""

    def __init__(self, extensions=ALL, answer=None, before_end=None, port=0, lmtp=False):
        self.extensions, self.answer, self.before_end = extensions, answer, before_end
        self.messages, self.lock = [], threading.Condition()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(200)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def close(self):
        self.listener.close()

    def talk(self, client):
        try:
            with client, client.makefile("rb", buffering=1 << 16) as lines:
                self.session(client, lines)
        except OSError:
            pass

    def session(self, client, lines):
        say = lambda text: client.sendall(text.encode() + b"\r\n")
        say("220 sink.test ESMTP")
        mail, recipients = None, []
        for line in lines:
            line = line.rstrip(b"\r\n")
            verb = line[:4].upper()
            if verb in (b"EHLO", b"LHLO"):
                words = ["sink.test", *self.extensions]
                say("\r\n".join(f"250{' ' if i == len(words) - 1 else '-'}{w}" for i, w in enumerate(words)))
            elif verb == b"MAIL":
                mail, recipients = line, []
                say("250 2.1.0 ok")
            elif verb == b"RCPT":
                address = re.search(rb"<(.*?)>", line).group(1)
                reply = self.answer(address, line) if self.answer else None
                if not reply or reply[0] == "2":
                    recipients.append(line)
                say(reply or "250 2.1.5 ok")
            elif verb == b"DATA":
                if not recipients:
                    say("554 5.5.1 no valid recipients")
                    continue
                say("354 go on")
                message = Message(mail, recipients, read_data(lines))
                if self.before_end:
                    self.before_end(message)
                with self.lock:
                    self.messages.append(message)
                    self.lock.notify_all()
                say("250 2.0.0 kept")
            elif verb == b"QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok" if verb in (b"RSET", b"NOOP", b"HELO") else "502 5.5.1 what")

    def wait(self, wanted, seconds):
        """The messages for which `wanted` is true, once `seconds` are over or it says enough."""
        end = time.monotonic() + seconds
        with self.lock:
            while not wanted(self.messages) and time.monotonic() < end:
                self.lock.wait(0.2)
            return list(self.messages)


def read_data(lines):
    out = bytearray()
    for line in lines:
        if line == b".\r\n":
            break
        out += line[1:] if line[:1] == b"." else line
    return bytes(out)
