"""Runs the example client against a server with demo data: `python3 test_client.py --server PATH/TO/syncline`."""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

from syncline_client import Client, SyncError, WebSocket, digest

VECTORS = pathlib.Path(__file__).parents[2] / "spec" / "vectors"
PASSWORD = "syncline-demo"
DEADLINE_S = 60


@contextlib.contextmanager
def demo_server(program):
    """A server with demo data on a free port, as long as the block runs; its address."""
    with tempfile.TemporaryDirectory() as data:
        command = [program, "serve", "--demo", "--data", data, "--listen", "127.0.0.1:0"]
        log = pathlib.Path(data, "server.log")
        with log.open("w") as stderr:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        watchdog = threading.Timer(DEADLINE_S, server.kill)
        watchdog.start()
        try:
            url = next((line.split()[-1] for line in server.stdout if "listens on http://" in line), None)
            if url is None:
                sys.exit(f"the server did not start:\n{log.read_text()}")
            yield url
        finally:
            watchdog.cancel()
            server.terminate()
            server.wait()
            server.stdout.close()


class ClientTest(unittest.TestCase):
    url = None

    def sign_in(self, email="demo@syncline.dev"):
        client = Client(self.url, email, PASSWORD)
        self.addCleanup(client.close)
        return client

    def test_dig_1_dig_2_digests_are_those_of_the_vectors(self):
        for case in json.loads((VECTORS / "digest.json").read_text()):
            self.assertEqual(digest([tuple(row) for row in case["records"]]), case["digest"], case["name"])

    def test_aut_1_a_wrong_password_is_refused(self):
        with self.assertRaises(SyncError) as refused:
            Client(self.url, "demo@syncline.dev", "not the password")
        self.assertEqual(refused.exception.class_, "session")

    def test_ses_1_a_socket_without_a_token_gets_no_further_than_auth(self):
        client = self.sign_in()
        anonymous = WebSocket(client.host, client.port, f"/ws/local_install/{client.client_id}", {})
        self.addCleanup(anonymous.close)
        anonymous.send({"type": "heartbeat"})
        self.assertEqual(anonymous.receive()["problem"]["code"], "unauthenticated")
        with self.assertRaisesRegex(ConnectionError, "4406"):
            anonymous.receive()

    def test_ses_4_a_new_replica_gets_everything_it_may_see(self):
        client = self.sign_in()
        self.assertEqual(len(client.of("leads")), 200)
        self.assertIn("workspace", client.scopes)
        client._hello()
        self.assertEqual(len(client.of("leads")), 200, "nothing changed: the plan is resume")

    def test_inv_7_a_member_with_few_grants_gets_few_records(self):
        owner, agent = self.sign_in(), self.sign_in("agent2@syncline.dev")
        self.assertLess(len(agent.of("leads")), len(owner.of("leads")))
        self.assertLessEqual(agent.scopes.keys(), owner.scopes.keys() | {f"owner:{agent.user_id}"})

    def test_bat_1_an_edit_reaches_the_other_device_live(self):
        first, second = self.sign_in(), self.sign_in("manager@syncline.dev")
        contact, outcome = first.create("contacts", {"firstname": "Ada", "lastname": "Example"})
        self.assertEqual(outcome["outcome"], "applied", outcome)
        second.wait_until(lambda: contact in second.of("contacts"))
        self.assertEqual(second.of("contacts")[contact]["firstname"], "Ada")
        self.assertEqual(second.update("contacts", contact, {"job_title": "CTO"})["outcome"], "applied")
        first.wait_until(lambda: first.of("contacts")[contact].get("job_title") == "CTO")
        for scope in first.scopes.keys() & second.scopes.keys():
            self.assertEqual(first.scope_digest(scope), second.scope_digest(scope), scope)

    def test_mrg_2_two_unseen_edits_of_different_fields_are_merged(self):
        first, second = self.sign_in(), self.sign_in("manager@syncline.dev")
        contact, _ = first.create("contacts", {"firstname": "Bob", "lastname": "Example"})
        second.wait_until(lambda: contact in second.of("contacts"))
        first.update("contacts", contact, {"job_title": "CEO"})
        outcome = second.update("contacts", contact, {"city": "Berlin"})
        self.assertEqual(outcome["outcome"], "merged", outcome)
        fields = second.of("contacts")[contact]
        self.assertEqual((fields["job_title"], fields["city"]), ("CEO", "Berlin"))

    def test_psh_6_a_rejected_edit_does_not_stop_the_next(self):
        client = self.sign_in()
        _, outcome = client.create("contacts", {"no_such_field": 1})
        self.assertEqual((outcome["outcome"], outcome["code"]), ("rejected", "validation"))
        _, outcome = client.create("contacts", {"firstname": "Eve"})
        self.assertEqual(outcome["outcome"], "applied")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--server", required=True, help="path of the `syncline` program")
    program = arguments.parse_args().server
    with demo_server(program) as ClientTest.url:
        outcome = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(ClientTest))
    sys.exit(not outcome.wasSuccessful())


if __name__ == "__main__":
    main()
