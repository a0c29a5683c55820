"""Kafka's pure Python client: makes the topics of standard input, or prints their records as lines of JSON.

The first argument is "create" or "read", the second one JSON: the settings of the client. Each line of standard input is a topic.
"""

import json
import sys

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

what, settings = sys.argv[1], json.loads(sys.argv[2])
topics = sys.stdin.read().split()
if what == "create":
    client = KafkaAdminClient(**settings)
    client.create_topics([NewTopic(topic, 4, 1) for topic in topics])
else:
    consumer = KafkaConsumer(**settings, auto_offset_reset="earliest")
    for topic in topics:
        for partition in sorted(consumer.partitions_for_topic(topic)):
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            consumer.seek_to_beginning(place)
            end = consumer.end_offsets([place])[place]
            while consumer.position(place) < end:
                for record in consumer.poll(1000).get(place, []):
                    headers = {name: value.decode() for name, value in record.headers}
                    line = {"topic": topic, "partition": partition, "key": record.key.decode(), "headers": headers}
                    print(json.dumps({**line, "value": json.loads(record.value)}))
