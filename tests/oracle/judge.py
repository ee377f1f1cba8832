# SPDX-License-Identifier: GPL-2.0-only
"""From both engines' results to verdicts: what differs, does it again, what is needed for it.

A scenario's judgement is a generator that asks for runs and is given both engines' answers, so that
many are under way at once.
"""

import compare
import scenario

TRIALS = 16  # runs to find the smallest failing form of a scenario


class Task:
    """One engine's half of a run."""

    def __init__(self, judgement, engine, text, fresh):
        self.judgement = judgement
        self.engine = engine
        self.text = text
        self.fresh = fresh


class Judgement:
    """A scenario's way from its first run to its verdict."""

    thorough = 10  # differences to reduce and to see in a new instance; more would only take time

    def __init__(self, text):
        (self.scenario,) = scenario.parse(text)
        self.verdict = {"name": self.scenario.name, "seconds": {}}
        self.answers = {}
        self.steps = self.run()

    def run(self):
        """Yields (text, fresh); is sent both engines' answers."""
        text = self.scenario.source()
        for fresh in (False, False, True):  # agreement may be chance just as a difference may
            if fresh and Judgement.thorough <= 0:
                break
            answers = yield text, fresh
            if self.error(answers) or self.unlisted(answers) is not None:
                return (yield from self.again(text, answers))
            missing = self.not_met(answers)
            if not missing:
                return dict(self.verdict, verdict="listed" if self.met(answers) else "same")
        return dict(self.verdict, verdict="stale", ids=missing)

    def again(self, text, answers):
        """It failed or differed: once more, and if that is no chance, in a new instance."""
        found = None if self.error(answers) else self.unlisted(answers)
        for fresh in (False, True):
            if fresh and Judgement.thorough <= 0:
                break  # so much differs that it is not worth the time
            answers = yield text, fresh
            if self.error(answers):
                continue
            at = self.unlisted(answers)
            if at is None:
                return dict(self.verdict, verdict="unsteady", in_new_instance=fresh,
                            event=None if found is None else self.event(found))
        if self.error(answers):
            return dict(self.verdict, verdict="failed", error=self.error(answers))
        return (yield from self.different(at, answers))

    def different(self, at, answers):
        verdict = dict(self.verdict, verdict="different", event=self.event(at),
                       kernel=compare.show(answers["kernel"]["results"][at]),
                       bpvs=compare.show(answers["bpvs"]["results"][at]))
        events = [*self.scenario.events[:at], scenario.Event(self.event(at))]
        if at < len(self.scenario.events):
            events[-1] = self.scenario.events[at]
        Judgement.thorough -= 1
        trials = TRIALS if Judgement.thorough >= 0 else 0
        verdict["reduced"] = yield from self.reduce(events, verdict, trials)
        return verdict

    def event(self, at):
        own = len(self.scenario.events)
        return self.scenario.events[at].source() if at < own else scenario.LAST_LOOKS[at - own]

    @staticmethod
    def error(answers):
        return "\n".join(f"{name}: {a['error']}" for name, a in answers.items() if "error" in a)

    def reduce(self, events, verdict, trials):
        """Leave out what the last event needs not to differ; yields runs, returns the text left."""
        size = max(1, len(events) // 2)
        while size and trials:
            at = len(events) - 1 - size
            while at >= 0 and trials:
                fewer = events[:at] + events[at + size :]
                trials -= 1
                answers = yield reduced_text(fewer), False
                if not self.error(answers) and self.unlisted(answers, fewer) == len(fewer) - 1:
                    events = fewer
                    verdict["kernel"], verdict["bpvs"] = (
                        compare.show(answers[name]["results"][-1]) for name in ("kernel", "bpvs"))
                at -= size
            size //= 2
        return reduced_text(events)

    def pairs(self, answers, events=None):
        """(number, ids that explain a difference, does it differ?) of each of the scenario's events
        and the last looks, or of the events of a part of it."""
        events = self.scenario.events if events is None else events
        ours, theirs = (answers[name]["results"] for name in ("kernel", "bpvs"))
        passed = set()
        for number, (a, b) in enumerate(zip(ours, theirs)):
            own = events[number].differs if number < len(events) else []
            differs = compare.differs(a, b)
            named = {i.rstrip("?"): i for i in self.scenario.differs + own}
            ids = compare.explained(list(named), a, b, passed) if differs else []
            yield number, [named[i] for i in ids], differs

    def unlisted(self, answers, events=None):
        return next((n for n, ids, differs in self.pairs(answers, events) if differs and not ids),
                    None)

    def met(self, answers):
        return [i for _, ids, differs in self.pairs(answers) if differs for i in ids]

    def not_met(self, answers):
        """Differences that it names and does not show. `ID?` is one that need not show."""
        met = self.met(answers)
        return [i for i in self.scenario.ids() if i not in met and not i.endswith("?")]


def reduced_text(events):
    return scenario.Scenario(scenario.REDUCED, "what is needed", events).source()


class Pool:
    """Hands the engines' halves of runs to where they are run.

    `places` has for each engine an object with room(), start(number, task) and answers(), which
    waits a little and gives pairs of number and answer.
    """

    def __init__(self, places, report):
        self.places = places
        self.report = report
        self.waiting = {"kernel": [], "bpvs": []}
        self.running = {}
        self.number = 0
        self.active = 0

    def begin(self, judgement):
        self.active += 1
        self.ask(judgement, next(judgement.steps), first=True)

    def ask(self, judgement, run, first=False):
        """Halves of runs under way go before new ones."""
        judgement.answers = {}
        for engine, queue in self.waiting.items():
            task = Task(judgement, engine, *run)
            queue.insert(len(queue) if first else 0, task)

    def answered(self, task, answer):
        judgement = task.judgement
        judgement.answers[task.engine] = answer
        seconds = judgement.verdict["seconds"]
        seconds[task.engine] = round(seconds.get(task.engine, 0) + answer["seconds"], 2)
        if len(judgement.answers) < 2:
            return
        try:
            self.ask(judgement, judgement.steps.send(judgement.answers))
        except StopIteration as done:
            self.active -= 1
            self.report(done.value)

    def run(self, judgements, ahead):
        """Judge them all, that many at a time."""
        judgements = iter(judgements)
        more = True
        while more or self.active:
            while more and self.active < ahead:
                judgement = next(judgements, None)
                more = judgement is not None
                if more:
                    self.begin(judgement)
            self.hand_out()
            for place in set(self.places.values()):
                for number, answer in place.answers():
                    self.answered(self.running.pop(number), answer)

    def hand_out(self):
        for engine, queue in self.waiting.items():
            while queue and self.places[engine].room(engine):
                task = queue.pop(0)
                self.running[self.number] = task
                self.places[engine].start(self.number, {
                    "engine": engine, "text": task.text, "fresh": task.fresh})
                self.number += 1
