//go:build linux

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

package compare

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	gateway "github.com/dynamic-mcp/dynamic-mcp/test/bench/process"
)

// process is a program that the comparison starts and ends.
type process struct {
	command *exec.Cmd
}

// pids returns the process, if it runs.
func (p *process) pids() []int {
	if p.command == nil {
		return nil
	}
	return []int{p.command.Process.Pid}
}

// start runs a program in a folder, with its output in NAME.log there.
func (p *process) start(run, name string, arguments, env []string) error {
	log, err := os.Create(filepath.Join(run, name+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Dir, command.Stdout, command.Stderr = run, log, log
	command.Env = append(os.Environ(), env...)
	// A process group of its own, so that stopping reaches its children and nothing else.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return err
	}
	p.command = command
	return nil
}

// ended returns an error if the process was started and is gone.
func (p *process) ended() error {
	if p.command == nil || !gateway.Ended(p.command.Process.Pid) {
		return nil
	}
	log, _ := os.ReadFile(p.command.Stdout.(*os.File).Name())
	return fmt.Errorf("the process ended: %.300s", strings.TrimSpace(string(log)))
}

// stop ends the process and its children, and no other.
func (p *process) stop() {
	if p.command == nil {
		return
	}
	group := -p.command.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	kill := time.AfterFunc(3*time.Second, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	_ = p.command.Wait()
	kill.Stop()
	p.command = nil
}

// notInstalledError says that a target's program is not there.
type notInstalledError struct{ program, install string }

func (e notInstalledError) Error() string {
	return fmt.Sprintf("%s is not installed; %s", e.program, e.install)
}

// lookProgram finds a program, also where administrators' programs are.
func lookProgram(program string) (string, error) {
	path, err := exec.LookPath(program)
	for _, folder := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if err == nil || strings.Contains(program, "/") {
			break
		}
		path, err = exec.LookPath(filepath.Join(folder, program))
	}
	return path, err
}

// begin starts a target's program.
func (t *Target) begin(run, cpus string) error {
	if len(t.Command) == 0 {
		return nil
	}
	program, err := lookProgram(t.Command[0])
	switch {
	case err != nil && t.Install != "":
		return notInstalledError{t.Command[0], t.Install}
	case err != nil:
		return err
	}
	arguments := append([]string{program}, t.Command[1:]...)
	if cpus != "" {
		taskset, err := exec.LookPath("taskset")
		if err != nil {
			return err
		}
		arguments = append([]string{taskset, "-c", cpus}, arguments...)
	}
	return t.start(run, t.Name, arguments, t.Env)
}

var variable = regexp.MustCompile(`\$\{([A-Z][A-Z0-9_]*)\}`)

// expand replaces ${NAME} by the name's value, or else by the environment variable.
func expand(text string, names map[string]string) (string, error) {
	unset := map[string]bool{}
	text = variable.ReplaceAllStringFunc(text, func(match string) string {
		name := variable.FindStringSubmatch(match)[1]
		value, ok := names[name]
		if !ok {
			value = os.Getenv(name)
		}
		if value == "" {
			unset[name] = true
		}
		return value
	})
	if len(unset) > 0 {
		return "", fmt.Errorf("not set: %s", strings.Join(slices.Sorted(maps.Keys(unset)), ", "))
	}
	return text, nil
}

// complete replaces the variables in a target's strings, and writes its files to the scratch folder.
func (t *Target) complete(run string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	names := map[string]string{"BENCH": self, "HERE": t.here, "RUN": run}
	var errs []error
	replace := func(text *string) {
		expanded, err := expand(*text, names)
		errs = append(errs, err)
		*text = expanded
	}
	replace(&t.URL)
	replace(&t.GoStats)
	for i := range t.Command {
		replace(&t.Command[i])
	}
	for i := range t.Env {
		replace(&t.Env[i])
	}
	for k, v := range t.Headers {
		replace(&v)
		t.Headers[k] = v
	}
	for _, file := range t.Files {
		errs = append(errs, copyTemplate(filepath.Join(t.here, file), filepath.Join(run, filepath.Base(file)), names))
	}
	return errors.Join(errs...)
}

func copyTemplate(from, to string, names map[string]string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	text, err := expand(string(b), names)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, []byte(text), 0o600)
}
