"""Clients of a pair of servers, by libpq alone: clients.py ADDRESS DB1 DB2 FOLDER

Two writers insert into `ledger` at ADDRESS, whichever server that is, and what was acknowledged goes into FOLDER/ledger.N; a third makes
more log; and a witness asks DB1 and DB2 whether they take writes, and says so in FOLDER/two-writable when both do (the first one
before and after the second). They end when FOLDER/no-more is there."""
import ctypes
import os
import sys
import threading
import time

pq = ctypes.CDLL("libpq.so.5")
for name, result in (("PQconnectdb", ctypes.c_void_p), ("PQexec", ctypes.c_void_p), ("PQgetvalue", ctypes.c_char_p),
                     ("PQerrorMessage", ctypes.c_char_p)):
    getattr(pq, name).restype = result
address, db1, db2, folder = sys.argv[1:]


def ended():
    return os.path.exists(folder + "/no-more")


class Client:
    def __init__(self, host):
        self.host, self.at, self.why = host, None, ""

    def ask(self, sql):
        """The first value, "" without one; None: it failed, or nobody knows."""
        if self.at is None:
            words = f"host={self.host} user=postgres dbname=postgres connect_timeout=2 tcp_user_timeout=2000 options='-c statement_timeout=3000'"
            self.at = ctypes.c_void_p(pq.PQconnectdb(words.encode()))
            if pq.PQstatus(self.at) != 0:
                self.why = pq.PQerrorMessage(self.at).decode()
                return self.lost()
        result = ctypes.c_void_p(pq.PQexec(self.at, sql.encode()))
        value = None
        if pq.PQresultStatus(result) in (1, 2):
            value = pq.PQgetvalue(result, 0, 0).decode() if pq.PQntuples(result) > 0 else ""
        else:
            self.why = pq.PQerrorMessage(self.at).decode()
        pq.PQclear(result)
        return self.lost() if value is None else value

    def lost(self):
        pq.PQfinish(self.at)
        self.at = None


def write(number):
    client, n = Client(address), 0
    with open(f"{folder}/ledger.{number}", "a", buffering=1) as ledger:
        while not ended():
            n += 1
            if client.ask(f"INSERT INTO ledger VALUES ({number}, {n})") is not None:
                ledger.write(f"{number} {n}\n")
                time.sleep(0.02)
            else:
                with open(f"{folder}/why.{number}", "w") as f:
                    f.write(client.why)
                time.sleep(0.1)


def load():
    client = Client(address)
    while not ended():
        client.ask("INSERT INTO load SELECT i, repeat('x', 200) FROM generate_series(1, 300) i")
        time.sleep(0.05)


def witness():
    one, two = Client(db1), Client(db2)
    question = "SELECT pg_is_in_recovery()"
    while not ended():
        if one.ask(question) == "f" and two.ask(question) == "f" and one.ask(question) == "f":
            with open(folder + "/two-writable", "a") as f:
                f.write("both take writes\n")
        time.sleep(0.02)


threads = [threading.Thread(target=f, args=a) for f, a in ((write, (1,)), (write, (2,)), (load, ()), (witness, ()))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
