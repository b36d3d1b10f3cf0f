"""A scenario on several servers at once, loaded in turns."""

import contextlib
import time
from dataclasses import dataclass

from generator import Generator
from measuring import Measurement, WrongAnswerError, measure, warm
from results import Comparison, Entry
from rounds import Policy, Round, interleave
from running import NotRunningError, Server, Service, Site, serve
from scenarios import Scenario
from servers import Subject


@dataclass(frozen=True)
class Contest:
    """How servers are compared: where, how often, for how long."""

    site: Site
    generator: Generator
    rounds: int
    repeats: int
    noise: float
    seconds: float
    # Whether servers are loaded a little before it counts.
    warms: bool = True

    def compare(
        self, scenario: Scenario, subjects: list[Subject], seconds_max: float
    ) -> Comparison:
        """We are the first subject; a rival that cannot take part is noted as missing."""
        policy = Policy(self.rounds, self.repeats, self.noise, time.monotonic() + seconds_max)
        ours, *rivals = subjects
        found = Comparison(scenario.name, ours.name, {}, [])
        with contextlib.ExitStack() as stack:
            running = [self._start(ours, scenario, stack)]
            for rival in rivals:
                try:
                    running.append(self._start(rival, scenario, stack))
                except (NotRunningError, WrongAnswerError) as error:
                    found.missing[rival.name] = str(error)
            while not found.rounds:
                try:
                    found.rounds = self._rounds(running, scenario, policy)
                except WrongAnswerError as error:
                    if error.server == ours.name:
                        raise
                    found.missing[error.server] = str(error)
                    running = [each for each in running if each.name != error.server]
        for server in running:
            command = server.shown_command(self.site)
            found.entries[server.name] = Entry(command, server.start_seconds)
        return found

    def _start(self, subject: Subject, scenario: Scenario, stack: contextlib.ExitStack) -> Server:
        path = "/" if scenario.load.body else scenario.load.path
        service = Service(scenario.application, path, scenario.threads)
        server = stack.enter_context(serve(subject, service, self.site))
        if self.warms and scenario.seconds_max is None:
            warm(server, scenario.load, self.generator)
        return server

    def _rounds(
        self, running: list[Server], scenario: Scenario, policy: Policy
    ) -> list[Round[Measurement]]:
        by_name = {server.name: server for server in running}

        def one(name: str) -> Measurement:
            others = [server for server in running if server.name != name]
            seconds = scenario.seconds_max or self.seconds
            return measure(by_name[name], scenario, self.generator, seconds, others)

        return interleave(list(by_name), one, policy)
