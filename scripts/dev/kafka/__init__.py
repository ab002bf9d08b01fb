"""A single Apache Kafka broker without containers, to develop and test against.

Owns: fetching Kafka, and one broker's life on the loopback. Must not know: storepulse's topics or records.

errors ◀── tools ◀──┬── libs ◀───┬── broker ◀── __main__
                    └── tls ◀────┤
             configuration, probe┘
"""
