/*
Copyright 2026 The Dynamic MCP Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Command mkimage writes a container image of one layer to standard output, as the kind of archive that "docker save"
// makes:
//
//	mkimage [-user UID[:GID]] [-env NAME=VALUE]... NAME:TAG BINARY [SRC[:DEST]...] >image.tar
//	mkimage [-arch ARCH] [-user …] [-env …]... NAME:TAG FOLDER [SRC[:DEST]...] >image.tar
//
// A static BINARY becomes the entrypoint, under its own name in the root folder, and says what architecture the image
// is for. A FOLDER is a whole root filesystem; the image has no entrypoint. Further files and folders land in the root
// folder under their own names unless DEST says otherwise. All files belong to root and all times are zero, so that the
// same content gives the same digest.
package main

import (
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const usage = "usage: mkimage [-arch ARCH] [-user UID[:GID]] [-env NAME=VALUE]... NAME:TAG BINARY|FOLDER [SRC[:DEST]...] >image.tar"

func main() {
	log.SetFlags(0)
	log.SetPrefix("mkimage: ")
	if err := run(os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(args []string, out io.Writer) error {
	i := image{architecture: runtime.GOARCH}
	flags := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&i.architecture, "arch", i.architecture, "the architecture of a root filesystem")
	flags.StringVar(&i.user, "user", "", "the user, and group, that the image runs as; root if empty")
	flags.Func("env", "an environment variable", func(variable string) error {
		if !strings.Contains(variable, "=") {
			return errors.New("must be NAME=VALUE")
		}
		i.environment = append(i.environment, variable)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w\n%s", err, usage)
	}
	if flags.NArg() < 2 {
		return errors.New(usage)
	}
	i.name = flags.Arg(0)
	for _, argument := range flags.Args()[1:] {
		i.sources = append(i.sources, parseSource(argument))
	}
	if err := i.readFirst(); err != nil {
		return err
	}
	return i.write(out)
}

// source is a file or folder, and where it lands in the image.
type source struct {
	from, to string
}

func parseSource(argument string) source {
	from, to, ok := strings.Cut(argument, ":")
	if !ok {
		to = filepath.Base(from)
	}
	return source{from: from, to: filepath.Join("/", to)}
}

// readFirst learns from the first source what kind of image it is.
func (i *image) readFirst() error {
	first := &i.sources[0]
	info, err := os.Stat(first.from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		first.to = "/"
		return nil
	}
	i.architecture, err = staticBinary(first.from)
	i.entrypoint = []string{first.to}
	return err
}

// staticBinary returns a binary's architecture, and turns the puzzling "no such file or directory" that a dynamically
// linked one would die of in an empty image into a clear error.
func staticBinary(name string) (architecture string, err error) {
	file, err := elf.Open(name)
	if err != nil {
		return "", fmt.Errorf("%s: not a Linux binary: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is dynamically linked (with Go, build it with CGO_ENABLED=0)", name)
		}
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	default:
		return "", fmt.Errorf("%s is for %s, and only amd64 and arm64 are known", name, file.Machine)
	}
}
