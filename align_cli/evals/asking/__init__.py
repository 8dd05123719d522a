"""Asking an endpoint that speaks OpenAI's chat completions: judges, and models that answer a benchmark.

::

    endpoint   where is asked, and with whose key
    outcome    a request, and what came of it
    limits     how fast, how often, how long
    ask        all requests, many at a time  ← what the others are for
    client       one request over HTTP
    replies        what came back, read: a reply, or a fault
    complaints     what an endpoint says is wrong, in whatever shape it says so
    faults         what is wrong with an attempt, and whether another may help
    dialect      parameters that a model wants under another name, or not at all
    pace         in flight, a minute, after a fault: who waits for how long
    prices       what tokens cost; `budget` what may be spent
    endings      why all of it ends early, in words
    answering    a benchmark's questions, turn by turn
"""
