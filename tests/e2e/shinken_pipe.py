"""A module of Shinken's receiver: commands from a named pipe, as its module named-pipe takes them."""
import os
import select

from shinken.basemodule import BaseModule
from shinken.external_command import ExternalCommand

properties = {'daemons': ['receiver'], 'type': 'pipe', 'external': True, 'phases': ['running']}


def get_instance(conf):
    return Pipe(conf)


class Pipe(BaseModule):
    def __init__(self, conf):
        BaseModule.__init__(self, conf)
        self.path = conf.command_file

    def main(self):
        self.set_exit_handler()
        os.mkfifo(self.path)
        pipe = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        # A writer of its own keeps the pipe open between those of others.
        os.open(self.path, os.O_WRONLY)
        rest = ''
        while not self.interrupted:
            if not select.select([pipe], [], [], 1)[0]:
                continue
            lines = (rest + os.read(pipe, 65536)).split('\n')
            rest = lines.pop()
            for line in lines:
                self.from_q.put(ExternalCommand(line))
