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

package controller

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// reasonForeignController is the reason of the event on a GatewayClass that has our name and another controller.
const reasonForeignController = "ForeignController"

// classCreator creates the default GatewayClass when the manager starts, once: a class that is deleted while the
// manager runs stays deleted.
//
// Every replica does so, and none when it begins to lead: while the manager is uninstalled, a replica may lead for the moment in
// which it still runs, and would leave a class behind that was deleted before.
type classCreator struct {
	client.Client
	recorder recorder.EventRecorder
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*classCreator) NeedLeaderElection() bool { return false }

// Start tries until it succeeds: an API server that is slow or away at the start is no reason to end the manager.
func (c *classCreator) Start(ctx context.Context) error {
	backoff := wait.Backoff{Duration: time.Second, Factor: 2, Steps: 6, Cap: 30 * time.Second}
	for {
		err := c.ensure(ctx)
		if err == nil {
			return nil
		}
		delay := backoff.Step()
		log.FromContext(ctx).Error(err, "Could not create the GatewayClass, trying again",
			"gatewayClass", v1alpha1.GatewayClassName, "delay", delay)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
	}
}

func (c *classCreator) ensure(ctx context.Context) error {
	logger := log.FromContext(ctx).WithValues("gatewayClass", v1alpha1.GatewayClassName)
	class := &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{
			Name:   v1alpha1.GatewayClassName,
			Labels: map[string]string{labelPartOf: partOfValue},
		},
		Spec: gatewayv1.GatewayClassSpec{
			ControllerName: v1alpha1.ControllerName,
			Description:    new("MCP servers behind one address"),
		},
	}
	err := c.Get(ctx, client.ObjectKeyFromObject(class), class)
	if apierrors.IsNotFound(err) {
		switch err = c.Create(ctx, class); {
		case apierrors.IsAlreadyExists(err):
			return nil // Another replica was first.
		case err == nil:
			logger.Info("Created the GatewayClass")
		}
	}
	switch {
	case err != nil:
		return err
	case class.DeletionTimestamp != nil:
		return errors.New("it is being deleted, and is created again once it is gone") // As when everything is installed anew.
	}
	if !isOurClass(class) {
		logger.Info("The GatewayClass belongs to another controller, leaving it alone; "+
			"create a class of another name with our controllerName to use this one",
			"theirController", class.Spec.ControllerName, "controllerName", v1alpha1.ControllerName)
		c.recorder.Eventf(class, nil, corev1.EventTypeWarning, reasonForeignController, "Create",
			"The class belongs to %s. Its Gateways are not served by %s: for that, create a class of another name with "+
				"that controllerName", class.Spec.ControllerName, v1alpha1.ControllerName)
	}
	return nil
}
